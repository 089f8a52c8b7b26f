"""continue_as_new(): the run ends here, the next run of the same saga begins with a new history. Pure.

The end event holds what the next run starts with; whoever sees it makes that run (the server, docs/continue-as-new.md). Nothing
that could still be undone is left behind: the call is refused while a compensation is registered that is not settled. What is
in doubt is settled first, as before every end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from durable_saga import codec
from durable_saga.errors import UnsupportedOperation
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay.scopes import child_path
from durable_saga.replay.unwind import UNSETTLED

if TYPE_CHECKING:
    from durable_saga.replay.run import Core

NAMES_MAX = 10


class ContinueAsNew(BaseException):
    """Takes the saga's code to its end. Not an error, so not for `except Exception`."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        super().__init__("continue_as_new")


class Continuing:
    """Owns the correlation keys of the run, which the next run takes over."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.keys: dict[str, None] = {}

    async def ask(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> NoReturn:
        """Raises ContinueAsNew; UnsupportedOperation where it can't be done, TypeError for arguments that don't fit."""
        core = self._core
        core.forward.check_cancelled()
        if child_path():
            raise UnsupportedOperation(
                "continue_as_new() in a child saga: return to the saga itself, which can go on in a new run"
            )
        if asyncio.current_task() is not core.forward.main:
            raise UnsupportedOperation("continue_as_new() in a task or handler: call it in the saga's own function")
        core.definition.signature.bind(*args, **kwargs)
        data = codec.encode_call(
            args, kwargs, where="continue_as_new()", signature=core.definition.signature, function=core.definition.function,
        )  # fmt: skip
        await core.signals.handled()
        core.forward.check_cancelled()
        self._refuse_unfinished()
        raise ContinueAsNew(data)

    def _refuse_unfinished(self) -> None:
        undoable = [
            entry.name for entry in self._core.stack.entries.values() if entry.state in UNSETTLED and not entry.in_doubt
        ]
        if undoable:
            raise UnsupportedOperation(
                f"continue_as_new() while there is something to undo ({_listed(undoable)}): a new run can't undo what this one"
                " did. Call pivot() before it if these are never to be undone, or end this saga and start another one"
            )
        running = [pending.definition.name for pending in self._core.calls.pending.values()]
        if running:
            raise UnsupportedOperation(f"continue_as_new() while steps still run ({_listed(running)}): await them first")

    def asked_in(self, error: BaseException | None) -> bytes | None:
        """The arguments of the next run, if that is why the saga's code ended; task groups pass it on in a group."""
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        return error.data if isinstance(error, ContinueAsNew) else None

    def go_on(self, data: bytes) -> None:
        core = self._core
        core.calls.cancel_all()
        core.state.flush()
        core.unwinding.settle(partial(self._end, data))

    def _end(self, data: bytes) -> None:
        core = self._core
        core.end(h.CONTINUED, following=h.Continuation(
            input=p.Payload(data=data), keys=list(self.keys), carried=core.signals.kept(),
            attributes=core.attributes.values,
        ))  # fmt: skip


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return ", ".join(names[:NAMES_MAX]) + more
