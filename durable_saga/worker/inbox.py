"""The messages of one run as its worker sees them: each is taken once, and leaves the inbox with the commit of its event.

What the history has, or what is of no interest, leaves with whatever is committed next. A message that comes again while its
event is not committed stays: the commit that consumed it could be an earlier one than that of its event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from durable_saga.errors import DurableSagaError
from durable_saga.pb import history_pb2 as h

_EVENTS = {
    "signal": "signal_received", "cancel": "cancel_requested", "decision": "compensation_decided",
    "recover": "recover_requested", "compensate": "compensate_requested", "pause": "pause_requested",
    "resume": "resume_requested", "retry": "retry_requested",
}  # fmt: skip
_KINDS = frozenset(_EVENTS.values())


class Inbox:
    """Made from the run's history, which holds what was taken before."""

    def __init__(self, events: Iterable[h.Event]) -> None:
        self._seen = set(message_ids(events))
        self._uncommitted: set[str] = set()
        self.spent: list[str] = []

    def take(self, message: h.InboxMessage) -> h.Event | None:
        """The message as an event, None when it was taken before. Raises DurableSagaError for an unknown kind."""
        if message.message_id in self._seen:
            if message.message_id not in self._uncommitted:
                self.spent.append(message.message_id)  # a server died between its commit and the inbox
            return None
        self._seen.add(message.message_id)
        self._uncommitted.add(message.message_id)
        kind = message.WhichOneof("kind")
        if kind is None:
            raise DurableSagaError("a message of a kind that this version does not know: upgrade this worker")
        event = h.Event()
        getattr(event, _EVENTS[kind]).CopyFrom(getattr(message, kind))
        return event

    def spend(self, message_id: str) -> None:
        """What was taken is of no interest: there will be no event."""
        self._uncommitted.discard(message_id)
        self.spent.append(message_id)

    def consumed(self, events: Sequence[h.Event]) -> list[str]:
        """What leaves the inbox with a commit of these events."""
        if not (self._uncommitted or self.spent):
            return []
        spent, self.spent = self.spent, []
        return [*message_ids(events), *spent]

    def committed(self, consumed: Iterable[str]) -> None:
        """That commit is acknowledged."""
        self._uncommitted.difference_update(consumed)


def message_ids(events: Iterable[h.Event]) -> list[str]:
    kinds = ((event, str(event.WhichOneof("kind"))) for event in events)
    return [str(getattr(event, kind).message_id) for event, kind in kinds if kind in _KINDS]
