"""A worker gives a run up: it only waits, nobody can go on with it, or the worker drains. From then on hints look after it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from durable_saga.pb import worker_pb2 as w
from durable_saga_server.dispatch import run_of
from durable_saga_server.journal import Commit, Committed, JournalError, Run, Unknown
from durable_saga_server.sessions import Session

if TYPE_CHECKING:
    from durable_saga_server.service import HistoryService

log = logging.getLogger(__name__)
BLOCKED_RETRY_MS_MIN = 1_000


async def release(service: HistoryService, session: Session, request: w.Release) -> None:
    """Park, or give back what can't go on. The hint is written before the truth; a message that came meanwhile is found
    after it."""
    run = run_of(request.key)
    owned = session.owned.get(run)
    saga_type = owned.saga_type if owned else request.saga_type
    service.dispatcher.given_up(session, run, request.epoch)
    now_ms = service.clock.now_ms()
    wake_at_ms = request.wake_at_ms
    if request.blocked:
        wake_at_ms = now_ms + max(request.retry_after_ms, BLOCKED_RETRY_MS_MIN)
    commit = Commit(
        run, request.incarnation, request.epoch, service.ids.new(), request.next_seq, [], request.status, now_ms,
        wake_at_ms, request.consumed, release=True, blocked=request.blocked,
    )  # fmt: skip
    while True:
        try:
            if wake_at_ms:
                await service.waker.hint(run, wake_at_ms)
            outcome = await service.committer.commit(commit)
            if isinstance(outcome, Unknown):
                continue
            service.dispatcher.given_up(session, run, request.epoch)
            if isinstance(outcome, Committed) and request.blocked:
                service.blocked.add(run, saga_type, session.name)
            if isinstance(outcome, Committed) and not request.blocked and await _is_due(service, run, wake_at_ms):
                service.dispatcher.wake(run, saga_type)
            break
        except JournalError as error:
            log.warning("saga %s can't be parked now: %s", run.saga, error)
            await service.clock.sleep(1)
    service.dispatcher.look_again()


async def _is_due(service: HistoryService, run: Run, wake_at_ms: int) -> bool:
    """Its time came, or a message, while it was being parked: then its hint may have been looked at too early. Raises
    JournalError."""
    return 0 < wake_at_ms <= service.clock.now_ms() or bool(await service.journal.inbox(run))
