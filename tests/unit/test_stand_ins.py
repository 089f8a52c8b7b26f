"""Clock and dice: every way to them gives in a replay what it gave before."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import random
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from random import Random, SystemRandom, choice, getrandbits, shuffle
from random import random as imported_random
from time import monotonic, perf_counter
from time import time as imported_time
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

import durable_saga
from durable_saga import now, saga, step
from durable_saga.errors import FutureEventKind
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import Core
from durable_saga.replay.guard import install
from durable_saga.testing import SagaTestRunner

ours = Random(7)
imported_in_time = choice


@dataclasses.dataclass
class Stamped:
    made: float = dataclasses.field(default_factory=time.time)
    dice: float = dataclasses.field(default_factory=random.random)
    name: uuid.UUID = dataclasses.field(default_factory=uuid4)


def shuffled() -> list[int]:
    cards = list(range(20))
    shuffle(cards)
    return cards


def throw(name: str, *args: Any) -> Any:
    return getattr(random, name)(*args)


WAYS: dict[str, Callable[[], Any]] = {
    name: partial(throw, name, *args) for name, args in {
        "random": (), "randint": (1, 10**9), "betavariate": (1, 2), "expovariate": (1,), "randbytes": (8,), "gauss": (0, 1),
        "normalvariate": (0, 1), "triangular": (), "lognormvariate": (0, 1), "vonmisesvariate": (1, 2), "getrandbits": (64,),
        "paretovariate": (1,), "weibullvariate": (1, 2), "gammavariate": (1, 2), "uniform": (0, 1),
    }.items()
} | {
    "imported random": lambda: imported_random(), "imported getrandbits": lambda: getrandbits(64), "shuffle": shuffled,
    "imported choice": lambda: imported_in_time(range(10**9)), "Random()": lambda: Random().random(),
    "module's Random()": lambda: random.Random().getrandbits(64), "SystemRandom": lambda: SystemRandom().random(),
    "secrets": lambda: [secrets.token_hex(), secrets.choice(range(10**9)), secrets.randbelow(10**9)],
    "urandom": lambda: os.urandom(8), "uuid4": lambda: [uuid.uuid4(), uuid4()], "dataclass": Stamped,
    "clocks": lambda: [
        time.time(), time.time_ns(), time.monotonic(), time.monotonic_ns(), time.perf_counter(), time.perf_counter_ns(),
        time.process_time(), time.thread_time_ns(), monotonic(), perf_counter(), imported_time(), time.ctime(),
        time.gmtime(), time.localtime(), time.strftime("%c"), time.asctime(), date.today(),
    ],
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_replay_gets_what_the_saga_got(way: Callable[[], Any]) -> None:
    found = []

    @saga
    async def draws() -> None:
        found.append([way(), way()])
        await asyncio.sleep(3.25)
        found.append([way(), way()])

    result = asyncio.run(SagaTestRunner().run(draws))
    assert result.status == "completed", result.error
    assert found[:2] == found[2:]


def test_outside_a_saga_they_are_what_they_were() -> None:
    install()
    before = [ours.random(), Random(7).random()]
    assert before[0] == before[1]
    assert abs(imported_time() - time.time_ns() / 1e9) < 5
    assert uuid4() != uuid4()
    assert isinstance(asyncio.new_event_loop, Callable)  # type: ignore[arg-type]
    random.seed(3)
    assert random.random() == Random(3).random()


def test_a_library_that_draws_shifts_no_name_of_ours() -> None:
    def draws(times: int) -> Any:
        @saga
        async def draws() -> list[Any]:
            for _ in range(times):
                random.random(), uuid.uuid4(), os.urandom(3)
            return [durable_saga.uuid4(), durable_saga.random().random()]

        return asyncio.run(SagaTestRunner().run(draws)).value

    assert draws(0) == draws(5)


def test_a_run_of_before_draws_from_one_stream_as_it_did() -> None:
    got: list[Any] = []

    @saga
    async def draws() -> None:
        dice = durable_saga.random()
        got[:] = [random.random(), durable_saga.uuid4(), dice.random(), os.urandom(4), uuid.uuid4()]

    core = Core(draws.definition, h.RunKey(namespace="n", saga="s", run=1))
    core.replay(
        [h.Event(time_ms=1, saga_started=h.SagaStarted(saga_type="draws", seed=b"s" * 16, input={"data": b"\x92\x90\x80"}))]
    )
    one = Random(b"s" * 16)

    def name() -> uuid.UUID:
        return uuid.UUID(int=one.getrandbits(128), version=4)

    assert got == [one.random(), name(), one.random(), one.randbytes(4), name()]


def test_a_run_of_later_rules_is_for_a_later_version() -> None:
    @saga
    async def nothing() -> None: ...

    started = h.SagaStarted(saga_type="nothing", seed=b"s" * 16, rules=99, input={"data": b"\x92\x90\x80"})
    with pytest.raises(FutureEventKind, match="upgrade"):
        Core(nothing.definition, h.RunKey()).replay([h.Event(time_ms=1, saga_started=started)])


@pytest.mark.parametrize("start", [lambda: threading.Thread(target=print).start(), lambda: ThreadPoolExecutor(1).submit(print)])
def test_threads_are_refused_in_every_version(start: Callable[[], Any]) -> None:
    @saga
    async def starts() -> None:
        start()

    error = asyncio.run(SagaTestRunner().run(starts)).error or ""
    assert "saga code starts a thread" in error


def test_a_time_zone_is_known() -> None:
    @saga
    async def zone() -> str:
        ZoneInfo.clear_cache()
        return str(now().astimezone(ZoneInfo("Europe/Berlin")).tzinfo)

    assert asyncio.run(SagaTestRunner().run(zone)).value == "Europe/Berlin"


# --- logging ---------------------------------------------------------------------------------------------------------


@step
async def says() -> None:
    logging.getLogger("shop").warning("in a step")


@saga
async def logs() -> None:
    log = logging.getLogger("shop")
    log.warning("first", extra={"run": "mine"})
    await says()
    log.warning("second")


def test_a_record_is_written_once_by_any_handler_and_says_whose_it_is(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    handler = logging.FileHandler(tmp_path / "shop.log", delay=True)
    handler.setFormatter(logging.Formatter("%(saga)s %(run)s %(saga_type)s %(step)s %(attempt)s %(funcName)s %(message)s"))
    logging.getLogger("shop").addHandler(handler)
    try:
        result = asyncio.run(SagaTestRunner().run(logs))
    finally:
        logging.getLogger("shop").removeHandler(handler)
        handler.close()
    assert result.status == "completed", result.error
    assert (tmp_path / "shop.log").read_text().splitlines() == [
        "saga mine logs   logs first", "saga 1  says 1 says in a step", "saga 1 logs   logs second",
    ]  # fmt: skip
    assert all(abs(record.created - time.time()) < 60 for record in caplog.records)
