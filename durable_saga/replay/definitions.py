"""What a history names, found in today's modules: for a run that is undone without its code.

Who looks it up is the worker's; here is what it is asked, and what stands in for a compensation that can't be found: one that
fails at its first attempt, with the reason, and is stuck then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from durable_saga.definition.definition import CompensationDefinition, SagaDefinition, StepDefinition
from durable_saga.definition.retry import Retry
from durable_saga.errors import CannotUndo


class Definitions(Protocol):
    """`saga` is the name of the saga, or child saga, whose code called it: its module is looked at first."""

    def saga(self, name: str, /) -> SagaDefinition | None:
        """None: no module has it."""

    def step(self, saga: str, name: str, compensation: str, /) -> StepDefinition:
        """`compensation`: the name of what undoes it. Raises CannotUndo."""

    def undo(self, saga: str, name: str, /) -> CompensationDefinition:
        """What `on_failure()` registered under this name. Raises CannotUndo."""


class NoDefinitions:
    """Where nothing is run: in a replay without a worker."""

    def saga(self, name: str, /) -> SagaDefinition | None:
        return None

    def step(self, saga: str, name: str, compensation: str, /) -> StepDefinition:
        raise CannotUndo(f"there is no worker here that could have step {name}")

    def undo(self, saga: str, name: str, /) -> CompensationDefinition:
        raise CannotUndo(f"there is no worker here that could have {name}")


NOTHING_KNOWN: Definitions = NoDefinitions()


class StandIn(CompensationDefinition):
    """Of one that is not here."""


def stand_in(name: str, reason: Exception) -> StandIn:
    """A compensation of this name, whose attempts fail with the reason."""
    return StandIn(
        name=name, function=_failing(reason), retry=Retry(max_attempts=1), timeout_ms=0, takes_result=False
    )  # fmt: skip


def _failing(reason: Exception) -> Callable[..., None]:
    def cannot_undo(*_: Any, **__: Any) -> None:
        raise CannotUndo(str(reason)) from None

    return cannot_undo
