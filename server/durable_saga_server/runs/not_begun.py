"""Sagas that are to begin later: a stop ends one without its code. Its messages wait for its start like all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from durable_saga.pb import history_pb2 as h
from durable_saga.pb.limits import status_name
from durable_saga.telemetry import catalogue as metrics
from durable_saga_server.journal import Commit, Committed, Head, JournalUnavailable, Run, Unknown
from durable_saga_server.means import Means
from durable_saga_server.workers.committer import Committer
from durable_saga_server.workers.dispatch import Dispatcher

_ENDS = {"cancel": h.CANCELLED, "compensate": h.COMPENSATED}


class NotBegun:
    """`notify` tells those who wait for the end of a run."""

    def __init__(
        self, means: Means, dispatcher: Dispatcher, committer: Committer, notify: Callable[[Run], None]
    ) -> None:  # fmt: skip
        self._clock = means.clock
        self._ids = means.ids
        self._dispatcher = dispatcher
        self._committer = committer
        self._notify = notify

    async def stop(self, head: Head, messages: Sequence[h.InboxMessage]) -> None:
        """The first of these that stops it ends it. One that has begun meanwhile is left alone: its owner has the message.
        Raises JournalError."""
        stop = next((one for one in messages if one.WhichOneof("kind") in _ENDS), None)
        if stop is None or (owned := await self._dispatcher.acquire(head.run, "", orphan=False)) is None:
            return
        if owned.next_seq != 1:
            return
        kind = str(stop.WhichOneof("kind"))
        asked, status = getattr(stop, kind), _ENDS[kind]
        now_ms = max(self._clock.now_ms(), owned.updated_ms)
        event = h.Event(seq=1, time_ms=max(now_ms, owned.wake_at_ms), stopped_before_start=h.StoppedBeforeStart(
            message_id=asked.message_id, reason=asked.reason, who=asked.who, status=status,
        ))  # fmt: skip
        outcome = await self._committer.commit(Commit(
            owned.run, owned.incarnation, owned.epoch, self._ids.new(), 1, [event], status, now_ms,
            consumed=[stop.message_id], release=True,
        ))  # fmt: skip
        if isinstance(outcome, Unknown):
            raise JournalUnavailable(outcome.reason)
        if isinstance(outcome, Committed):
            metrics.SAGAS_ENDED.add(1, owned.saga_type, status_name(status))
            self._notify(owned.run)
