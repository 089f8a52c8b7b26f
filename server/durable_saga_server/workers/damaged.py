"""Runs whose history can't be read: no worker gets them."""

from __future__ import annotations

import hashlib
import logging

from durable_saga.pb.limits import BLOCKED_CHARACTERS_MAX
from durable_saga.pb.log_fields import about
from durable_saga_server.clock import Clock
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Commit, Hint, Journal, JournalDamaged, JournalError, Run

log = logging.getLogger(__name__)
DAMAGED_AGAIN_MS = 60_000


async def set_aside(journal: Journal, clock: Clock, run: Run, error: JournalDamaged) -> None:
    """It can't be read, so nobody can go on with it: it is shown as blocked, and looked at again, rarely."""
    log.error("%s", error, extra=about(run))
    try:
        head = await journal.runs.head(run)
        if head is None or head.status not in OPEN:
            return
        again_ms = clock.now_ms() + DAMAGED_AGAIN_MS
        commit_id = hashlib.sha256(head.last_commit + again_ms.to_bytes(8, "big")).digest()[:16]
        await journal.hints.add(Hint(again_ms, run))
        await journal.runs.commit_many([
            Commit(
                run, head.incarnation, head.epoch, commit_id, head.next_seq, [], head.status, head.updated_ms,
                again_ms, release=True, blocked=str(error)[:BLOCKED_CHARACTERS_MAX],
            )
        ])  # fmt: skip
    except JournalError as other:
        log.warning("saga %s can't be set aside: %s", run.saga, other, extra=about(run))
