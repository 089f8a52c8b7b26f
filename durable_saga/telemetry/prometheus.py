"""The instruments of this process as Prometheus reads them. Needs the extra `metrics` (prometheus-client).

`durable-saga … --metrics HOST:PORT` serves them. A program that has a registry of its own adds ours to it:

    REGISTRY.register(SagaCollector())
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from durable_saga.telemetry.catalogue import ALL
from durable_saga.telemetry.instruments import Counter, Gauge, Histogram, Instrument


class SagaCollector(Collector):
    """All instruments of the catalogue: each with its help text from the start, and its values when there are some."""

    def collect(self) -> Iterator[Metric]:
        return map(_family, ALL)

    def describe(self) -> Iterable[Metric]:
        return self.collect()


def exposition() -> Callable[[str], tuple[bytes, str]]:
    """Gives, for an Accept header, the text and its content type: ours, and what the process uses."""
    registry = CollectorRegistry()
    registry.register(SagaCollector())
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)

    def text(accept: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    return text


def _family(one: Instrument) -> Metric:
    name, meaning = one.prometheus_name, one.meaning
    if isinstance(one, Counter):
        counter = CounterMetricFamily(name, meaning, labels=one.labels)
        for value, labels in one.read():
            counter.add_metric(labels, value)
        return counter
    if isinstance(one, Gauge):
        gauge = GaugeMetricFamily(name, meaning, labels=one.labels)
        for value, labels in one.read():
            gauge.add_metric(labels, value)
        return gauge
    assert isinstance(one, Histogram), "there are three kinds"
    histogram = HistogramMetricFamily(name, meaning, labels=one.labels)
    bounds = [*map(str, one.bounds), "+Inf"]
    for counts, total, labels in one.read():
        histogram.add_metric(labels, buckets=list(zip(bounds, accumulate(counts), strict=True)), sum_value=total)
    return histogram
