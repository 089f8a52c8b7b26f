"""The end of a run by force: its owner loses it, and nothing is compensated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.limits import status_name
from durable_saga.telemetry import catalogue as metrics
from durable_saga_server.failures import ServiceError, guard_journal
from durable_saga_server.journal import Commit, Committed, Head, Run
from durable_saga_server.means import Means
from durable_saga_server.runs.heads import Heads
from durable_saga_server.workers.committer import Committer
from durable_saga_server.workers.dispatch import Dispatcher

TERMINATE_ATTEMPTS_MAX = 5


class Terminating:
    """The call raises ServiceError. `hint` makes sure that somebody looks at a run at a time; `revoke` takes it from its
    worker, with a reason; `notify` tells those who wait for its end."""

    def __init__(
        self, means: Means, heads: Heads, dispatcher: Dispatcher, committer: Committer, *,
        hint: Callable[[Run, int], Awaitable[None]], revoke: Callable[[Run, str], None], notify: Callable[[Run], None],
    ) -> None:  # fmt: skip
        self._clock = means.clock
        self._ids = means.ids
        self._config = means.config
        self._heads = heads
        self._dispatcher = dispatcher
        self._committer = committer
        self._hint = hint
        self._revoke = revoke
        self._notify = notify

    @guard_journal
    async def terminate(self, request: c.TerminateRequest) -> c.TerminateReply:
        head = await self._heads.open_head(request.key)
        await self._hint(head.run, self._clock.now_ms() + self._config.message_hint_ms)  # it may have none
        for _ in range(TERMINATE_ATTEMPTS_MAX):
            owned = await self._dispatcher.acquire(head.run, "")
            if owned is None:
                return c.TerminateReply()
            event = h.Event(seq=owned.next_seq, time_ms=self._time_of(owned))
            event.saga_terminated.reason, event.saga_terminated.who = request.reason, request.who
            outcome = await self._committer.commit(
                Commit(
                    owned.run,
                    owned.incarnation,
                    owned.epoch,
                    self._ids.new(),
                    owned.next_seq,
                    [event],
                    h.TERMINATED,
                    self._clock.now_ms(),
                    release=True,
                    paused="" if owned.paused else None,
                )
            )
            if isinstance(outcome, Committed):
                _count(owned, event.time_ms)
                self._revoke(head.run, "terminated")
                self._notify(head.run)
                return c.TerminateReply()
        raise ServiceError("UNAVAILABLE", f"saga {head.run.saga} could not be terminated now: try again")

    def _time_of(self, owned: Head) -> int:
        """Of the event: not before those that are there. One that was to begin later has a first event of that time."""
        return max(self._clock.now_ms(), owned.updated_ms, owned.wake_at_ms if owned.next_seq == 1 else 0)


def _count(head: Head, now_ms: int) -> None:
    name = status_name(h.TERMINATED)
    metrics.SAGAS_ENDED.add(1, head.saga_type, name)
    metrics.SAGA_DURATION.record(max(now_ms - head.started_ms, 0) / 1000, head.saga_type, name)
