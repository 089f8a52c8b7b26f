"""continue_as_new(): the run ends here, the next run of the same saga begins with a new history. Pure.

The end event holds what the next run starts with; whoever sees it makes that run (the server, docs/continue-as-new.md). Nothing
that could still be undone is left behind: the call is refused while a compensation is registered that is not settled. What is
in doubt is settled first, as before every end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from durable_saga import codec
from durable_saga.definition.definition import SagaDefinition
from durable_saga.errors import UnsupportedOperation
from durable_saga.replay.calls import Calls
from durable_saga.replay.next_run import ContinueAsNew
from durable_saga.replay.signals import Signals
from durable_saga.replay.standing import Standing
from durable_saga.replay.surroundings import child_path
from durable_saga.replay.unwind import UNSETTLED, Stack

NAMES_MAX = 10


class Continuing:
    """Looks whether a run can end here, and ends its code."""

    __slots__ = ("_calls", "_definition", "_signals", "_stack", "_standing")

    def __init__(
        self, definition: SagaDefinition, standing: Standing, stack: Stack, calls: Calls, signals: Signals
    ) -> None:  # fmt: skip
        self._definition, self._standing, self._stack, self._calls, self._signals = definition, standing, stack, calls, signals

    async def ask(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> NoReturn:
        """Raises ContinueAsNew; UnsupportedOperation where it can't be done, TypeError for arguments that don't fit."""
        definition, standing = self._definition, self._standing
        standing.check_cancelled()
        if child_path():
            raise UnsupportedOperation(
                "continue_as_new() in a child saga: return to the saga itself, which can go on in a new run"
            )
        if asyncio.current_task() is not standing.main:
            raise UnsupportedOperation("continue_as_new() in a task or handler: call it in the saga's own function")
        definition.signature.bind(*args, **kwargs)
        data = codec.encode_call(
            args, kwargs, where="continue_as_new()", signature=definition.signature, function=definition.function,
        )  # fmt: skip
        await self._signals.handled()
        standing.check_cancelled()
        self._refuse_unfinished()
        raise ContinueAsNew(data)

    def _refuse_unfinished(self) -> None:
        undoable = [entry.name for entry in self._stack.entries.values() if entry.state in UNSETTLED and not entry.in_doubt]
        if undoable:
            raise UnsupportedOperation(
                f"continue_as_new() while there is something to undo ({_listed(undoable)}): a new run can't undo what this one"
                " did. Call pivot() before it if these are never to be undone, or end this saga and start another one"
            )
        running = [pending.definition.name for pending in self._calls.pending.values()]
        if running:
            raise UnsupportedOperation(f"continue_as_new() while steps still run ({_listed(running)}): await them first")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return ", ".join(names[:NAMES_MAX]) + more
