"""A worker says that it owns a run: it came back, or moved here. It keeps what the journal says is still its own."""

from __future__ import annotations

import logging

from durable_saga.pb import worker_pb2 as w
from durable_saga_server.clock import Clock
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Journal, JournalError
from durable_saga_server.keys import key_of, run_of
from durable_saga_server.workers.dispatch import Dispatcher
from durable_saga_server.workers.sessions import Ownership, Session

log = logging.getLogger(__name__)


class Reclaiming:
    def __init__(self, journal: Journal, clock: Clock, dispatcher: Dispatcher) -> None:
        self._journal = journal
        self._clock = clock
        self._dispatcher = dispatcher

    async def reclaim(self, session: Session, owned: w.Owned) -> None:
        """From then on it has the run here, with what waits in its inbox; or it is told that the run has another owner."""
        run, dispatcher = run_of(owned.key), self._dispatcher
        if run.namespace != session.namespace:
            log.warning("worker %s of namespace %s claims a saga of another namespace", session.name, session.namespace)
            return
        with dispatcher.handing(run, look=True) as handing:
            try:
                head = await self._journal.runs.head(run)
                unread = await dispatcher.unread(run, handing)
            except JournalError:
                return  # its next commit tells
            is_owner = head is not None and head.owner == session.name and head.epoch == owned.epoch > handing.gone
            if head is None or not is_owner or head.incarnation != owned.incarnation or head.status not in OPEN:
                if (known := session.owned.get(run)) is not None and known.epoch <= owned.epoch:
                    del session.owned[run]
                    dispatcher.look_again()
                session.send(w.ServerItem(revoke=w.Revoke(key=owned.key, epoch=owned.epoch, reason="taken over")))
                return
            if session.caller is not None and not session.caller.may_run(run.namespace, head.saga_type):
                log.warning("worker %s claims a saga of type %s, which it may not run", session.name, head.saga_type)
                return
            known = session.owned.get(run)
            sent = known.sent if known is not None and known.epoch == head.epoch else {}
            now_ms = self._clock.now_ms()
            session.owned[run] = Ownership(
                head.incarnation, head.epoch, head.saga_type, head.build, bool(head.blocked), now_ms, sent, head.status
            )  # fmt: skip
            session.deliver(run, key_of(run), owned.epoch, unread)
