"""Code that does not come back is taken out, and nothing is ever raised outside of it."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import sys
import threading
import time
from asyncio import events
from typing import Any

import pytest

from durable_saga import watchdog
from durable_saga.replay.dice import Dice
from durable_saga.replay.guard import guarded
from durable_saga.replay.mark import inside
from durable_saga.watchdog import ActivationTooLong, watch_here


class World:
    dice, is_repeating = Dice(b"seed", 1), False

    def now(self) -> float:
        return 0.0

    def log_context(self) -> dict[str, Any]:
        return {}


def spin() -> None:
    while True:
        pass


def swallow() -> None:
    while True:
        try:
            _work()
        except BaseException:
            pass


def swallow_inside() -> None:
    while True:
        try:
            while True:
                try:
                    while True:
                        pass
                except BaseException:
                    pass
        except BaseException:
            pass


def swallow_nested() -> None:
    while True:
        try:
            swallow()
        except BaseException:
            try:
                swallow()
            finally:
                swallow()


def _work() -> None:
    for number in range(20):
        str(number)


@pytest.mark.parametrize("code", [spin, swallow, swallow_inside, swallow_nested])
def test_code_that_never_yields_is_taken_out_with_its_stack(code: object) -> None:
    with pytest.raises(ActivationTooLong, match="activation_seconds_max") as raised:
        watch_here().call(0.2, code)  # type: ignore[arg-type]
    assert "test_watchdog.py" in raised.value.stack
    assert "test_watchdog.py" in str(raised.value)


def test_a_regular_expression_that_holds_the_lock_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LOCK_SECONDS_MAX", 0.3)
    monkeypatch.setattr(watchdog, "_watches_lock", False)
    watch = watch_here()
    watchdog.watch_the_lock()
    try:
        with pytest.raises(ActivationTooLong) as raised:
            watch.call(0.2, lambda: re.match("(a+)+$", "a" * 60 + "b"))
    finally:
        watchdog._watches_lock = False
        time.sleep(0.05)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_IGN)
    assert "test_watchdog.py" in raised.value.stack


def test_what_is_in_time_is_left_alone_and_its_errors_pass() -> None:
    def fails() -> None:
        raise KeyError("its own")

    assert watch_here().call(0.2, lambda: 7) == 7
    with pytest.raises(KeyError, match="its own"):
        watch_here().call(0.2, fails)
    assert watch_here().call(0.2, lambda: watch_here().call(0.2, lambda: 8)) == 8


def test_the_guard_and_the_running_loop_are_put_right_when_code_is_taken_out() -> None:
    async def play() -> None:
        other = asyncio.new_event_loop()
        other.close()

        def code() -> None:
            events._set_running_loop(other)
            guarded(World()).__enter__()
            spin()

        loop = asyncio.get_running_loop()
        with pytest.raises(ActivationTooLong):
            watch_here().call(0.1, code)
        assert asyncio.get_running_loop() is loop
        assert not inside()

    asyncio.run(play())


def test_in_thousands_of_tight_starts_and_stops_nothing_is_raised_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is zero and the watchdog looks all the time, so that it hits around the very ends of the activations."""
    monkeypatch.setattr(watchdog, "LOOK_SECONDS", 0.0002)
    monkeypatch.setattr(watchdog, "HIT_AGAIN_SECONDS", 0.0001)
    monkeypatch.setattr(watchdog, "CAREFUL_SECONDS", 0.0)
    monkeypatch.setattr(watchdog, "RENEWED_AFTER_SECONDS", 0.001)
    chance, watch, taken_out, gone_well, outside = random.Random(7), watch_here(), 0, 0, 0
    time.sleep(0.5)  # its last long look is over
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    until = time.monotonic() + 6

    def code(rounds: int) -> int:
        return sum(1 for _ in range(rounds))

    try:
        while (taken_out < 2_000 or gone_well < 2_000) and time.monotonic() < until:
            rounds = chance.randrange(20_000)
            try:
                assert watch.call(0.0, code, rounds) == rounds
                gone_well += 1
            except ActivationTooLong:
                taken_out += 1
            outside += sum(1 for _ in range(chance.randrange(2_000)))  # where nothing may be raised
    finally:
        sys.setswitchinterval(before)
    assert min(taken_out, gone_well) > 50, f"{taken_out} were taken out, {gone_well} went well"


def test_each_thread_has_a_watch_of_its_own() -> None:
    told: list[str] = []

    def work() -> None:
        try:
            watch_here().call(0.1, spin)
        except ActivationTooLong as error:
            told.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    assert watch_here().call(5.0, lambda: thread.join(5)) is None
    assert len(told) == 1
