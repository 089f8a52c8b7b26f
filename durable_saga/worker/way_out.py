"""A run whose code can't go on: whether it is undone from its journal, and when it is tried again
(docs/unwinding-from-the-journal.md). Decides, and does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from durable_saga.definition.definition import SagaDefinition
from durable_saga.errors import CannotOpen, CannotUndo, FutureEventKind, NonDeterminism
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import Core
from durable_saga.replay.phases import UNWINDING
from durable_saga.worker.blocked import reason_of

STOPS = ("cancel", "compensate")
"""Messages that ask for an unwind."""
STOP_AGAIN_MS = 1
_STOPPED = ("cancel_requested", "compensate_requested", "saga_timed_out")


class UnknownSaga(CannotUndo):
    """No worker has a saga of that name, and this one was asked to undo a run of it."""


_NO_CODE = (NonDeterminism, UnknownSaga)


class WayOut:
    """Of one run. `error`: what is wrong with its code; of one whose code is not here, that."""

    def __init__(self, core: Core) -> None:
        is_unknown = core.without_code is not None
        self.error: BaseException | None = UnknownSaga(why_unknown(core.definition.name)) if is_unknown else None
        self._is_urgent = False

    def why(self, core: Core, error: BaseException) -> str:
        """What the history will say of it; empty: it stays as it is. What can't be read can't be undone."""
        if core.without_code is not None or isinstance(error, FutureEventKind | CannotOpen):
            return ""
        self.error = error
        return reason_of(error)

    def check(self, core: Core, inbox: Iterable[h.InboxMessage], now_ms: int) -> None:
        """After the replay. Raises what is wrong with the code of a run that nobody wants to be stopped."""
        alone, error = core.without_code, self.error
        if alone is None or error is None:
            return
        is_asked = alone.can_be_undone and any(message.WhichOneof("kind") in STOPS for message in inbox)
        if not is_asked and not alone.is_being_undone(now_ms):
            raise error
        if isinstance(error, UnknownSaga) and not alone.knows_any:
            raise error  # another worker may know its steps
        if core.standing.phase == UNWINDING and core.standing.stop is None and not isinstance(error, _NO_CODE):
            raise error  # its unwind was begun by its code, and goes on as soon as a value can be read again

    def blocked(self, fact: h.Event | None) -> None:
        """By this fact."""
        self._is_urgent = fact is not None and fact.WhichOneof("kind") in _STOPPED

    def again_at_ms(self, core: Core, now_ms: int) -> int:
        """When a run that is blocked is tried again, however long others would wait: at once where a stop was asked for, and
        at its time-out. 0: there is no such time."""
        if self._is_urgent:
            return now_ms + STOP_AGAIN_MS
        return core.deadline_ms if core.deadline_ms > now_ms else 0


def why_unknown(saga_type: str) -> str:
    return f"no worker has a saga {saga_type!r}"


def unknown(saga_type: str) -> SagaDefinition:
    """In the place of the code of a saga that this worker does not have."""

    async def not_here(*_: Any, **__: Any) -> None: ...

    return SagaDefinition(name=saga_type, function=not_here, timeout_ms=0, handlers={})
