"""Counters, histograms and gauges of this process: numbers in plain dicts, which cost a fraction of a microsecond to change.

Nothing here knows who reads them: Prometheus (`prometheus.py`) and OpenTelemetry (`otel.py`) do when they are asked to. Each
instrument keeps at most LABEL_SETS_MAX sets of label values; what is beyond is counted under OTHER.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence

LABEL_SETS_MAX = 500
"""Of one instrument in one process: a name that holds an id does not fill memory, nor the store of metrics."""
LABEL_CHARACTERS_MAX = 200
OTHER = "other"
Labels = tuple[str, ...]
Observed = Iterable[tuple[float, Labels]]


class Instrument:
    """`name` is written as OpenTelemetry does, `unit` in UCUM; {…} names what is counted."""

    kind = ""

    def __init__(self, name: str, unit: str, meaning: str, labels: Sequence[str] = ()) -> None:
        self.name, self.unit, self.meaning, self.labels = name, unit, meaning, tuple(labels)

    @property
    def prometheus_name(self) -> str:
        """As OpenTelemetry's rules make it of the name, without `_total`."""
        suffix = {"s": "_seconds", "By": "_bytes"}.get(self.unit, "")
        return self.name.replace(".", "_") + suffix

    def bounded(self, labels: Labels, known: int) -> Labels:
        """Those of a new set. Raises ValueError for another number than the instrument has."""
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {labels}")
        if known >= LABEL_SETS_MAX:
            return (OTHER,) * len(labels)
        return tuple(one[:LABEL_CHARACTERS_MAX] for one in labels)


class Counter(Instrument):
    kind = "counter"

    def __init__(self, name: str, unit: str, meaning: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, unit, meaning, labels)
        self._values: dict[Labels, float] = {}

    def add(self, value: float, *labels: str) -> None:
        try:
            self._values[labels] += value
        except KeyError:
            labels = self.bounded(labels, len(self._values))
            self._values[labels] = self._values.get(labels, 0) + value

    def read(self) -> list[tuple[float, Labels]]:
        return [(value, labels) for labels, value in list(self._values.items())]


class Histogram(Instrument):
    """`bounds` are the upper ones of its buckets. `forward`, where one is set, gets each value too."""

    kind = "histogram"

    def __init__(self, name: str, unit: str, meaning: str, labels: Sequence[str] = (), *, bounds: Sequence[float]) -> None:
        super().__init__(name, unit, meaning, labels)
        self.bounds = tuple(bounds)
        self.forward: Callable[[float, Labels], None] | None = None
        self._values: dict[Labels, list[float]] = {}

    def record(self, value: float, *labels: str) -> None:
        cell = self._values.get(labels)
        if cell is None:
            labels = self.bounded(labels, len(self._values))
            cell = self._values.setdefault(labels, [0] * (len(self.bounds) + 1) + [0.0])
        cell[bisect_left(self.bounds, value)] += 1
        cell[-1] += value
        if self.forward is not None:
            self.forward(value, labels)

    def read(self) -> list[tuple[list[float], float, Labels]]:
        """Counts by bucket, the last one without a bound; the sum."""
        return [(cell[:-1], cell[-1], labels) for labels, cell in [(labels, cell[:]) for labels, cell in self._items()]]

    def _items(self) -> list[tuple[Labels, list[float]]]:
        return list(self._values.items())


class Gauge(Instrument):
    """Read from those who know, when somebody asks. Several values for one set of labels are put together by `join`, the sum
    unless another is given: a process may have several workers, and more than one server."""

    kind = "gauge"

    def __init__(
        self, name: str, unit: str, meaning: str, labels: Sequence[str] = (), *,
        join: Callable[[float, float], float] = float.__add__,
    ) -> None:  # fmt: skip
        super().__init__(name, unit, meaning, labels)
        self._sources: list[Callable[[], Observed]] = []
        self._join = join

    def watch(self, source: Callable[[], Observed]) -> None:
        self._sources.append(source)

    def unwatch(self, source: Callable[[], Observed]) -> None:
        if source in self._sources:
            self._sources.remove(source)

    def read(self) -> list[tuple[float, Labels]]:
        """In any thread: a source that fails, since what it looks at changes meanwhile, is left out."""
        found: dict[Labels, float] = {}
        for source in list(self._sources):
            for value, labels in _tried(source):
                if labels not in found:
                    labels = self.bounded(labels, len(found))
                found[labels] = self._join(found[labels], float(value)) if labels in found else float(value)
        return [(value, labels) for labels, value in found.items()]


def _tried(source: Callable[[], Observed]) -> list[tuple[float, Labels]]:
    try:
        return list(source())
    except Exception:  # the next one who asks gets it
        return []


class Watching:
    """Sources of gauges that come and go together."""

    def __init__(self, *pairs: tuple[Gauge, Callable[[], Observed]]) -> None:
        self._pairs = pairs

    def start(self) -> None:
        for gauge, source in self._pairs:
            gauge.watch(source)

    def stop(self) -> None:
        for gauge, source in self._pairs:
            gauge.unwatch(source)


def instruments_in(names: dict[str, object]) -> Iterator[Instrument]:
    """In the order in which a module defines them."""
    return (one for one in names.values() if isinstance(one, Instrument))
