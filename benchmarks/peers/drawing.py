"""Bars on a logarithmic scale, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, COLUMNS_MAX = 560, 2
LABEL, ROW, HEAD, GAP = 210, 18, 34, 16
BAR_MAX = 210
OURS, OTHERS = "#1f6f54", "#8a97a6"


@dataclass(frozen=True)
class Chart:
    """Bars: label, value (none: only the words), words."""

    title: str
    bars: Sequence[tuple[str, float | None, str]]


def drawing(charts: Sequence[Chart]) -> str:
    height = max((HEAD + ROW * len(chart.bars) + GAP for chart in charts), default=0)
    rows = math.ceil(len(charts) / COLUMNS_MAX)
    size = f'width="{WIDTH * COLUMNS_MAX}" height="{height * rows}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">']
    parts.append('<rect width="100%" height="100%" fill="white"/>')
    for number, chart in enumerate(charts):
        x, y = number % COLUMNS_MAX * WIDTH, number // COLUMNS_MAX * height
        parts.append(f'<g transform="translate({x},{y})">{_chart(chart)}</g>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _chart(chart: Chart) -> str:
    values = [value for _, value, _ in chart.bars if value]
    low = 10 ** math.floor(math.log10(min(values))) if values else 1.0
    high = max(values, default=1.0)
    parts = [f'<text x="8" y="22" font-weight="bold">{escape(chart.title)}, logarithmic</text>']
    for number, (label, value, words) in enumerate(chart.bars):
        y = HEAD + ROW * number
        wide = 0.0
        if value:
            wide = max(2.0, BAR_MAX * math.log10(value / low) / max(math.log10(high / low), 1e-9))
        colour = OURS if label.startswith("durable-saga") else OTHERS
        parts.append(f'<text x="{LABEL - 6}" y="{y + 12}" text-anchor="end">{escape(label)}</text>')
        parts.append(f'<rect x="{LABEL}" y="{y + 2}" width="{wide:.1f}" height="{ROW - 5}" fill="{colour}"/>')
        parts.append(f'<text x="{LABEL + wide + 5:.1f}" y="{y + 12}">{escape(words)}</text>')
    return "".join(parts)
