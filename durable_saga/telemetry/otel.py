"""OpenTelemetry in a process of ours: traces, and the metrics of the catalogue, by its API. Needs the extra `otel`.

A program that configures OpenTelemetry itself calls `instrument()` when it has done so. `durable-saga … --otel` calls
`begin()`, which makes providers as the OTEL_… variables say, unless `opentelemetry-instrument` did.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.metadata import entry_points
from typing import Any

from durable_saga.telemetry import tracing
from durable_saga.telemetry.catalogue import ALL
from durable_saga.telemetry.instruments import Counter, Gauge, Histogram, Labels

NEEDS = "--otel needs packages: `pip install 'durable-saga[otel]'`, and an exporter such as opentelemetry-exporter-otlp"
_offered = False


def instrument() -> None:
    """Spans and metrics go to the providers that this program has set. Safe to call again. Raises ImportError."""
    tracing.switch_on()
    _offer_metrics()


def begin() -> None:
    """For a command: providers with the exporters that OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER name (`otlp` where they
    name none, `none` for none), unless there is a provider already. Raises ImportError."""
    try:
        from opentelemetry import metrics, trace
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ImportError(f"{error}: {NEEDS}") from error
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        provider = TracerProvider()
        for exporter in _exporters("traces"):
            provider.add_span_processor(BatchSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
    if not isinstance(metrics.get_meter_provider(), MeterProvider):
        readers = [PeriodicExportingMetricReader(exporter) for exporter in _exporters("metrics")]
        metrics.set_meter_provider(MeterProvider(readers))
    instrument()


def _exporters(of: str) -> Iterator[Any]:
    """Those that the environment names, which are packages of their own. Raises ImportError."""
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").partition("/")[0]
    for name in os.environ.get(f"OTEL_{of.upper()}_EXPORTER", "otlp").split(","):
        wanted = f"otlp_proto_{protocol}" if (name := name.strip()) == "otlp" else name
        if name in ("none", ""):
            continue
        found = list(entry_points(group=f"opentelemetry_{of}_exporter", name=wanted))
        if not found:
            raise ImportError(f"there is no exporter {name!r} of {of}: {NEEDS}")
        yield found[0].load()()


def _offer_metrics() -> None:
    """Counters and gauges are read when somebody asks; histograms get each value, since there is no other way."""
    global _offered
    if _offered:
        return
    _offered = True
    from opentelemetry import metrics

    meter = metrics.get_meter(tracing.NAME)
    for one in ALL:
        if isinstance(one, Counter):
            meter.create_observable_counter(one.name, [_reader(one)], one.unit, one.meaning)
        elif isinstance(one, Gauge):
            meter.create_observable_gauge(one.name, [_reader(one)], one.unit, one.meaning)
        elif isinstance(one, Histogram):
            made = meter.create_histogram(
                one.name, one.unit, one.meaning, explicit_bucket_boundaries_advisory=list(one.bounds)
            )  # fmt: skip
            one.forward = partial(_record, made, one.labels)


def _reader(one: Counter | Gauge) -> Callable[[Any], Iterable[Any]]:
    from opentelemetry.metrics import Observation

    def read(_: Any) -> Iterable[Any]:
        return [Observation(value, dict(zip(one.labels, labels, strict=True))) for value, labels in one.read()]

    return read


def _record(made: Any, names: Labels, value: float, labels: Labels) -> None:
    made.record(value, dict(zip(names, labels, strict=True)))
