"""Counters, histograms and gauges: exact, bounded, and read from any thread; and who is alive and ready."""

from __future__ import annotations

import asyncio
import sys
import time
import urllib.error
import urllib.request

import pytest

from durable_saga.machine import Machine
from durable_saga.telemetry.endpoint import Endpoint, host_and_port
from durable_saga.telemetry.health import Health
from durable_saga.telemetry.instruments import LABEL_CHARACTERS_MAX, LABEL_SETS_MAX, OTHER, Counter, Gauge, Histogram, Observed
from durable_saga.telemetry.telling import Telling


def test_a_counter_counts_by_its_labels() -> None:
    counter = Counter("a.b", "{one}", "", ["kind"])
    for kind in ("x", "y", "x"):
        counter.add(2, kind)
    assert counter.read() == [(4, ("x",)), (2, ("y",))]
    assert counter.prometheus_name == "a_b"
    with pytest.raises(ValueError, match="has the labels"):
        counter.add(1, "x", "y")


def test_sets_of_labels_are_bounded_and_the_rest_is_other() -> None:
    counter, histogram = Counter("a", "1", "", ["kind"]), Histogram("b", "s", "", ["kind"], bounds=[1.0])
    for number in range(LABEL_SETS_MAX + 50):
        counter.add(1, f"k{number}")
        histogram.record(0.5, f"k{number}")
    counter.add(1, "k0")
    assert len(counter.read()) == len(histogram.read()) == LABEL_SETS_MAX + 1
    assert (50, (OTHER,)) in counter.read()
    assert ([50, 0], 25.0, (OTHER,)) in histogram.read()
    assert (2, ("k0",)) in counter.read()


def test_a_long_label_is_cut() -> None:
    counter = Counter("a", "1", "", ["kind"])
    for _ in range(2):
        counter.add(1, "x" * 10_000)
    assert counter.read() == [(2, ("x" * LABEL_CHARACTERS_MAX,))]


def test_a_histogram_has_counts_by_upper_bound_and_a_sum() -> None:
    histogram = Histogram("a", "s", "", bounds=[1.0, 2.0])
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.record(value)
    assert histogram.read() == [([2, 1, 1], 12.0, ())]
    assert histogram.prometheus_name == "a_seconds"


def test_a_gauge_is_the_sum_of_its_sources_or_what_it_is_told() -> None:
    total, most = Gauge("a", "1", "", ["kind"]), Gauge("b", "1", "", ["kind"], join=max)

    def one() -> Observed:
        return [(1, ("x",)), (5, ("y",))]

    def two() -> Observed:
        return [(2, ("x",))]

    def broken() -> Observed:
        raise RuntimeError("changed meanwhile")

    for gauge in (total, most):
        for source in (one, broken, two):
            gauge.watch(source)
    assert total.read() == [(3, ("x",)), (5, ("y",))]
    assert most.read() == [(2, ("x",)), (5, ("y",))]
    total.unwatch(one)
    total.unwatch(one)
    assert total.read() == [(2, ("x",))]


def asked(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{address}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def asked_after(seconds: float, address: str, path: str) -> tuple[int, str]:
    time.sleep(seconds)
    return asked(address, path)


def test_probes_answer_while_the_loop_stands_still() -> None:
    async def play() -> None:
        health = Health(Machine.monotonic)
        endpoint = Endpoint("127.0.0.1:0", health, None)
        health.start()
        endpoint.start()
        try:
            ask = asyncio.to_thread
            assert await ask(asked, endpoint.address, "/readyz") == (200, "ok\n")
            assert await ask(asked, endpoint.address, "/livez?x=1") == (200, "ok\n")
            assert (await ask(asked, endpoint.address, "/metrics"))[0] == 404
            health.checks.append(lambda: "it is stopping")
            assert await ask(asked, endpoint.address, "/readyz") == (503, "it is stopping\n")
            health.checks.clear()
            asking = asyncio.get_running_loop().run_in_executor(None, lambda: asked_after(3.6, endpoint.address, "/readyz"))
            time.sleep(4)  # noqa: ASYNC251 - as a step does that blocks
            status, reason = await asking
            assert status == 503
            assert "the event loop has stood still for" in reason
            await asyncio.sleep(0.6)
            assert await ask(asked, endpoint.address, "/readyz") == (200, "ok\n")
        finally:
            endpoint.stop()
            await health.stop()

    asyncio.run(play())


def test_a_loop_that_stands_still_for_minutes_is_not_alive() -> None:
    now = [0.0]
    health = Health(lambda: now[0])
    now[0] = 100.0
    assert not health.not_alive()
    now[0] = 130.0
    assert health.not_alive() == "the event loop has stood still for 130 s"


def test_an_address_that_cant_be_had_is_told() -> None:
    for wrong in ("9464", "localhost:", ":9464", "localhost:99999", "localhost:http"):
        with pytest.raises(ValueError, match="give HOST:PORT"):
            host_and_port(wrong)
    assert host_and_port("[::1]:1") == ("::1", 1)
    health = Health(Machine.monotonic)
    first = Endpoint("127.0.0.1:0", health, None)
    taken = first.address.removeprefix("http://")
    with pytest.raises(OSError, match="can't be listened on for metrics"):
        Endpoint(taken, health, None)
    first.stop()


def test_metrics_without_the_extra_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "durable_saga.telemetry.prometheus", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ImportError, match=r"--metrics needs a package: `pip install 'durable-saga\[metrics\]'`"):
        Telling("127.0.0.1:0", "worker", Machine.monotonic, {})
    assert Telling("", "worker", Machine.monotonic, {}).address == "", "nothing is needed where nothing is told"
