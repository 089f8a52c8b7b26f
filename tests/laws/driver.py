"""The driver of `durable_saga.testing`, as the laws use it: without a loop around it, its faults as plain arguments."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from durable_saga import SagaFunction
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import Core
from durable_saga.testing.driver import START_MS, Attempt, Ended, Message
from durable_saga.testing.driver import Driver as TestDriver
from durable_saga.testing.faults import Faults

__all__ = ["START_MS", "Driver"]


@dataclass
class Driver:
    saga: SagaFunction[..., Any]
    args: tuple[Any, ...] = ()
    crash_at: Collection[int] = ()
    lose_at: Collection[int] = ()
    cancel_after: int | None = None
    early: Sequence[str] = ()
    late: Sequence[str] = ()

    def run(self) -> Driver:
        self.driver = TestDriver(
            self.saga.definition, self.args, faults=Faults(self.crash_at, self.lose_at, {}, self.cancel_after),
            early=[Message(name, (place,)) for place, name in enumerate(self.early)],
            messages=[Message(name, (place,)) for place, name in enumerate(self.late, len(self.early))],
            messages_before_timers=False,
        )  # fmt: skip
        attempts = self.driver.play()
        try:
            effect = next(attempts)
            while True:
                effect = attempts.send(_made(effect))
        except StopIteration:
            return self

    @property
    def journal(self) -> list[h.Event]:
        return self.driver.journal

    @property
    def kinds(self) -> list[str]:
        return self.driver.kinds

    @property
    def status(self) -> str:
        return self.driver.status

    @property
    def core(self) -> Core:
        return self.driver.core

    @property
    def effects(self) -> list[tuple[str, str]]:
        return [(kind, call) for kind, call, _ in self.driver.effects]


def _made(effect: Attempt) -> Ended:
    try:
        outcome = effect.definition.function(*effect.args, **effect.kwargs)
        return Ended(asyncio.run(outcome) if asyncio.iscoroutine(outcome) else outcome)
    except Exception as error:
        return Ended(error=error)
