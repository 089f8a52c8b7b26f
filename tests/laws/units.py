"""What the reference knows of what is to be undone: units, their plans, and which conditions leave something out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.laws.sagas import is_refusal

PENDING, RUNNING, DONE, STUCK, LEFT_OUT = "pending", "running", "done", "stuck", "left out"
UNDER_WAY, STANDS, IN_DOUBT = "under way", "stands", "in doubt"


@dataclass(eq=False)
class Undo:
    label: int
    name: str
    undo: str
    kind: str = ""
    result: str | None = None
    state: str = PENDING
    effect: str = STANDS
    error: Exception | None = None
    planned: bool = False
    postponed: bool = False


@dataclass(eq=False)
class Unit:
    """The saga, a scope or a child saga."""

    name: str
    order: str = ""
    items: list[Undo | Unit] = field(default_factory=list)
    plan: list[Undo | Unit] | None = None

    def undos(self) -> Iterator[Undo]:
        for item in self.items:
            yield from [item] if isinstance(item, Undo) else item.undos()

    def holds(self, other: Unit | None) -> bool:
        return other is self or any(isinstance(one, Unit) and one.holds(other) for one in self.items)

    def any(self, *states: str) -> bool:
        return any(one.state in states and not one.postponed for one in self.undos())

    def make_plan(self, *effects: str) -> None:
        self.plan = [
            one for one in reversed(self.items)
            if isinstance(one, Unit)
            or (one.state in (PENDING, RUNNING, STUCK) and not one.postponed and (not effects or one.effect in effects))
        ]  # fmt: skip
        if self.order == "sorted":
            self.plan.sort(key=lambda one: one.name)
        for one in self.plan:
            if isinstance(one, Unit):
                one.make_plan(*effects)
            else:
                one.planned = True

    def next(self) -> list[Undo]:
        found: list[Undo] = []
        for one in self.plan or ():
            alone = one if isinstance(one, Unit) else Unit("", items=[one], plan=[one])
            found += alone.next() if isinstance(one, Unit) else [one] if one.state == PENDING else []
            if any(undo.planned and undo.state in (PENDING, RUNNING) for undo in alone.undos()) and self.order != "parallel":
                break
        return found


def leave_out(unit: Unit, error: BaseException, *, may_postpone: bool = False) -> None:
    """A condition is asked once for each unwind. Where a part was merely cancelled, it waits for the error that was the
    reason."""
    leaves = list(_leaves(error))
    reason = next((one for one in leaves if not isinstance(one, asyncio.CancelledError)), leaves[0])
    for one in unit.undos():
        if one.kind == "ruled" and one.state == PENDING and not one.planned:
            one.postponed = may_postpone and isinstance(reason, asyncio.CancelledError)
            if not one.postponed and not is_refusal(reason):
                one.state = LEFT_OUT


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error
