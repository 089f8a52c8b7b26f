"""Queries on their way to a worker and back. A worker that answers owns nothing by it; when its stream ends, another one may be
asked. What nobody waits for any more is thrown away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.limits import QUERY_ANSWER_BYTES_MAX
from durable_saga_server.failures import MESSAGE_CHARACTERS_MAX, ServiceError
from durable_saga_server.journal import Head
from durable_saga_server.keys import key_of
from durable_saga_server.workers.handing import ASSIGN_BYTES_MAX
from durable_saga_server.workers.sessions import Session, Sessions

SEALING_BYTES_MAX = 64 * 1024
"""What a codec may add to an answer, and what stands around it."""


class Queries:
    """What each session was asked and has not answered."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._asked: dict[tuple[Session, int], asyncio.Future[w.QueryAnswer | None]] = {}
        self._numbers = 0

    def able(self, head: Head) -> list[Session]:
        """Who may be asked, those of the build of the run first, then those with the least to send."""
        found = [
            one for one in self._sessions
            if one.answers_queries and one.can_run(head.run.namespace, head.saga_type) and not one.is_crowded
        ]  # fmt: skip
        return sorted(found, key=lambda one: (not head.build or one.build != head.build, one.outbox.unread_bytes))

    async def ask(
        self, session: Session, head: Head, request: c.QueryRequest, events: Sequence[h.Event], timeout_ms: int
    ) -> w.QueryAnswer | None:  # fmt: skip
        """None: its stream ended before it answered."""
        self._numbers += 1
        number = self._numbers
        answered: asyncio.Future[w.QueryAnswer | None] = asyncio.get_running_loop().create_future()
        self._asked[session, number] = answered
        try:
            item, size = w.AskedQuery(number=number), 0
            for event in events:
                if size > ASSIGN_BYTES_MAX:
                    item.more, size = True, 0
                    session.send(w.ServerItem(query=item))
                    item = w.AskedQuery(number=number)
                size += event.ByteSize()
                item.events.append(event)
            item.key.CopyFrom(key_of(head.run))
            item.saga_type, item.name, item.timeout_ms = head.saga_type, request.name, timeout_ms
            item.input.CopyFrom(request.input)
            session.send(w.ServerItem(query=item))
            return await answered
        finally:
            self._asked.pop((session, number), None)

    def answered(self, session: Session, answer: w.QueryAnswer) -> None:
        """Raises ServiceError for what no worker of ours sends."""
        if (size := answer.ByteSize()) > QUERY_ANSWER_BYTES_MAX + SEALING_BYTES_MAX:
            raise ServiceError("INVALID_ARGUMENT", f"the answer of a query has {size} bytes")
        if any(len(one) > 2 * MESSAGE_CHARACTERS_MAX for one in (answer.invalid, answer.refused, answer.note)):
            raise ServiceError("INVALID_ARGUMENT", "the answer of a query has a text that is too long")
        waits = self._asked.get((session, answer.number))
        if waits is not None and not waits.done():
            waits.set_result(answer)

    def over(self, session: Session) -> None:
        for (asked, _), waits in list(self._asked.items()):
            if asked is session and not waits.done():
                waits.set_result(None)
