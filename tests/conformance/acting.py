"""A test that somebody else wrote, as the code of a saga: played from its start to its end, then replayed from its journal.

What comes out: how it ended, and a digest of the journal and of the order in which the loop was asked for callbacks.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from durable_saga import saga
from durable_saga.declared.compiled import function_of
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import Core
from durable_saga.testing.driver import Driver
from durable_saga.worker.watched_core import WatchedCore

Body = Callable[[], Awaitable[Any]]
SKIPS, FAILURES = ("SkipTest", "Skipped"), ("Failed", "XFailed")
"""What unittest and pytest raise; some of it is no Exception."""
ACTIVATION_SECONDS_MAX = 120.0
vars(WatchedCore)["__init__"].__defaults__ = (ACTIVATION_SECONDS_MAX,)  # a machine that is busy is no fault of a test


@dataclass
class Act:
    body: Body
    outcome: str = "none"
    why: str = ""
    order: list[str] = field(default_factory=list)


_now: list[Act] = []


@saga(name="conformance")
async def play() -> str:
    act = _now[-1]
    _observe(asyncio.get_running_loop(), act.order)
    try:
        await act.body()
        act.outcome = "pass"
    except BaseException as error:
        name = type(error).__name__
        act.outcome = "skip" if name in SKIPS else "fail"
        act.why = told(error)
        if not isinstance(error, Exception) and name not in (*SKIPS, *FAILURES):
            raise
    return act.outcome


def told(error: BaseException) -> str:
    inner = [told(one) for one in error.exceptions] if isinstance(error, BaseExceptionGroup) else []
    return " ".join([f"{type(error).__name__}: {error}".splitlines()[0], *inner])


def in_saga(body: Body) -> dict[str, str]:
    """`body` makes the test anew each time that it is called."""
    driver = Driver(function_of(play).definition)
    act, again = Act(body), Act(body)
    try:
        _now.append(act)
        for attempt in driver.play():
            raise AssertionError(f"a test has no steps: {attempt}")
        if driver.status != "COMPLETED":
            act.why = driver.journal[-1].saga_ended.failure.message or act.why
            act.outcome = driver.status.lower()
        _now.append(again)
        _replay(driver)
        if again.order != act.order and driver.status == "COMPLETED":
            act.outcome, act.why = "replay", "callbacks in another order"
    except Exception as error:
        act.outcome, act.why, act.order = "engine", told(error), []
    finally:
        driver.watched.discard()
        _now.clear()
    events = [event.SerializeToString(deterministic=True).hex() for event in driver.journal]
    digest = hashlib.sha256("\n".join([*events, *act.order]).encode()).hexdigest()[:16]
    return {"outcome": act.outcome, "why": act.why, "digest": digest}


def _replay(driver: Driver) -> None:
    watched = WatchedCore(Core(driver.definition, h.RunKey(namespace="test", saga="saga", run=1)))
    try:
        watched.replay(driver.journal)
    finally:
        watched.discard()


def _observe(loop: Any, order: list[str]) -> None:
    """Keeps the order in which the loop is asked for callbacks."""
    call_soon = loop.call_soon

    def observed(callback: Any, *args: Any, context: Any = None) -> Any:
        inner = callback
        while isinstance(inner, functools.partial):
            inner = inner.func
        task = getattr(inner, "__self__", None)
        order.append(f"{getattr(inner, '__qualname__', type(inner).__name__)} {getattr(task, 'birth', '')}")
        return call_soon(callback, *args, context=context)

    loop.call_soon = observed
