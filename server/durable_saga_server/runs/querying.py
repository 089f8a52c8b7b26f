"""A query of a caller who does not have the saga's code: the history is read, and a worker that has the code is asked. The run
is not touched: it needs no owner, and gets no event."""

from __future__ import annotations

import asyncio

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import worker_pb2 as w
from durable_saga_server.failures import BUSY_RETRY_MS, ServiceError, check_name, check_payload, guard_journal
from durable_saga_server.journal import Head
from durable_saga_server.keys import key_of
from durable_saga_server.means import Means
from durable_saga_server.runs.heads import Heads
from durable_saga_server.workers.handing import read_history
from durable_saga_server.workers.queries import Queries

QUERIES_AT_ONCE_MAX = 32
"""At workers of this server: each holds a history in memory."""
WORKERS_ASKED_MAX = 5
"""For one query: those that die, and those whose code does not fit the history."""
WORKERS_LOST_MAX = 2
"""For one query: it may be what ends them."""
QUERY_MS, QUERY_MS_MAX = 10_000, 120_000


class Querying:
    """The call raises ServiceError."""

    def __init__(self, means: Means, heads: Heads, queries: Queries) -> None:
        self._journal, self._config, self._heads, self._queries = means.journal, means.config, heads, queries
        self._under_way = 0

    @guard_journal
    async def query(self, request: c.QueryRequest) -> c.QueryReply:
        check_name("query name", request.name, self._config.id_characters_max)
        check_payload(request.input.data, self._config.payload_bytes_max)
        if self._under_way >= QUERIES_AT_ONCE_MAX:
            words = f"QUERIES_AT_ONCE_MAX ({QUERIES_AT_ONCE_MAX}) queries are being answered: try again"
            raise ServiceError("RESOURCE_EXHAUSTED", words, retry_after_ms=BUSY_RETRY_MS)
        self._under_way += 1
        try:
            head = await self._heads.head(request.key)
            if not self._queries.able(head):
                return c.QueryReply(key=key_of(head.run), refused=_nobody(head))
            return await self._ask(head, request)
        finally:
            self._under_way -= 1

    async def _ask(self, head: Head, request: c.QueryRequest) -> c.QueryReply:
        timeout_ms = min(request.timeout_ms or QUERY_MS, QUERY_MS_MAX)
        loop, found = asyncio.get_running_loop(), w.QueryAnswer(refused=_nobody(head))
        until, codes, lost = loop.time() + timeout_ms / 1000, set[str](), 0
        events = await read_history(self._journal, head, self._config.events_per_read)
        for _ in range(WORKERS_ASKED_MAX):
            session = next((one for one in self._queries.able(head) if one.code not in codes), None)
            left_ms = round((until - loop.time()) * 1000)
            if session is None or left_ms <= 0:
                break
            try:
                async with asyncio.timeout(left_ms / 1000 + 1):  # it tells by itself that it was too slow
                    answer = await self._queries.ask(session, head, request, events, left_ms)
            except TimeoutError:
                found = w.QueryAnswer(refused=f"no worker has answered in {timeout_ms / 1000:g} s")
                break
            if answer is None:
                lost += 1
                if lost == WORKERS_LOST_MAX:
                    found = w.QueryAnswer(refused=f"{lost} workers were lost while they were at it, so no further one is asked")
                    break
                continue  # another worker, perhaps of the same code
            if found.refused or not answer.refused:  # an answer with a note is better than none
                found = answer
            codes.add(session.code)
            if not answer.note and not answer.refused:
                break  # where the code of one does not fit the history, that of another may
        if found.invalid:
            raise ServiceError("INVALID_ARGUMENT", found.invalid)
        reply = c.QueryReply(key=key_of(head.run), refused=found.refused, note=found.note)
        if found.HasField("failure"):
            reply.failure.CopyFrom(found.failure)
        elif not found.refused:
            reply.result.CopyFrom(found.result)
        return reply


def _nobody(head: Head) -> str:
    return (
        f"no worker connected to this server answers queries of sagas of type {head.saga_type!r}: start one, or ask in a"
        " process that has the code of the saga"
    )
