"""The services that steps call, outside of the system under test: they keep a ledger of what was done, by idempotency key."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from durable_saga_server.journal import Run

from durable_saga.authoring.step_context import StepContext, step_context
from durable_saga.errors import NotApplied
from tests.laws.sagas import Refused
from tests.nasty.raised import MADE

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.world import World

FLAKY_FAILURES = 2
SLOW_US_MAX = 40_000_000
DOWN_SECONDS_MAX = 5.0


class ServiceDown(Exception):
    """No answer came: the effect may have happened."""


@dataclass(slots=True)
class Account:
    """What is known of one idempotency key. `begun` counts the attempts by their number, `done` what took effect."""

    begun: Counter[int] = field(default_factory=Counter)
    calls: int = 0
    done: int = 0
    died_in: Counter[int] = field(default_factory=Counter)
    """How often each attempt ended its process."""
    answers: list[str] = field(default_factory=list)


class Services:
    """Owns the ledger."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.ledger: dict[str, Account] = {}
        self._by_call: dict[tuple[Run, bytes, str, bool], Account] = {}

    def account(self, key: str) -> Account:
        return self.ledger.setdefault(key, Account())

    def of_call(self, run: Run, incarnation: bytes, call: str, *, undo: bool = False) -> Account | None:
        """What is known of a call of one life of a run, None if it was never attempted."""
        return self._by_call.get((run, incarnation, call, undo))

    def attempted(self, run: Run, incarnation: bytes, call: str, undo: bool, account: Account) -> bool:
        """False: this key was used for another call, or in another life of the id. A bank takes it for a repetition."""
        self._by_call.setdefault((run, incarnation, call, undo), account)
        return [one for one in self._by_call.values() if one is account] == [account]

    async def perform(self, process: Process, outcome: str, free: bool) -> str:
        """Raises Refused, NotApplied and ServiceDown."""
        world, loop, context = self._world, self._world.loop, step_context()
        account = self.account(context.idempotency_key)
        account.begun[context.attempt] += 1
        world.say(process.name, f"begins {context.idempotency_key} attempt {context.attempt} token {context.fencing_token}")
        world.oracle.effect_begins(process, context, account, free)
        answer: asyncio.Future[str] = loop.create_future()
        if outcome == "dies" or (outcome == "dies once" and not account.died_in):
            account.died_in[context.attempt] += 1
            account.done += world.dice.randrange(2)
            world.take_down(process, world.dice.uniform(0, DOWN_SECONDS_MAX))
            return await answer
        slow_us = world.dice.randrange(SLOW_US_MAX) if outcome == "slow" else 0
        at = loop.now_us + world.delay_us("service") + slow_us
        loop.at(at, world.context, self._arrive, process, context, outcome, answer)
        return await answer

    def _arrive(self, process: Process, context: StepContext, outcome: str, answer: asyncio.Future[str]) -> None:
        world, key = self._world, context.idempotency_key
        account = self.account(key)
        account.calls += 1
        error = _failure(outcome, account.calls)
        if not isinstance(error, Refused | NotApplied):
            account.done += 1
        if outcome == "hangs":
            world.say("services", f"{key}: never answers")
            return
        text = f"did {key} {account.calls}"
        if error is None and world.dice.random() < world.faults_now.network / 2:
            error = ServiceDown("the answer was lost")
        if error is None:
            account.answers.append(text)
        world.say("services", f"{key}: {outcome}: {type(error).__name__}" if error is not None else f"{key}: done")
        at = world.loop.now_us + world.delay_us("service")
        world.loop.at(at, process.context, _answer, answer, text, error)


def _failure(outcome: str, calls: int) -> BaseException | None:
    if outcome == "fail" or (outcome == "flaky" and calls <= FLAKY_FAILURES):
        return Refused(outcome)
    if outcome == "refuse":
        return NotApplied(outcome)
    if outcome == "stuck" or (outcome == "late" and calls == 1):
        return ServiceDown(outcome)
    return MADE[outcome.removeprefix("nasty ")]() if outcome.startswith("nasty ") else None


def _answer(future: asyncio.Future[str], text: str, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(text)
