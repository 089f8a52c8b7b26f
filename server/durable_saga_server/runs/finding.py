"""Runs by what they are and do: listings, and counts of all that there is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga_server.failures import ServiceError, check_attributes, check_name, guard_journal
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Filter, Head, Standing, Tally
from durable_saga_server.journal.rules import passes, sub_state
from durable_saga_server.means import Means
from durable_saga_server.runs.heads import Heads
from durable_saga_server.runs.reading import shown
from durable_saga_server.workers.paused_types import PausedTypes


class Finding:
    """Every call raises ServiceError. `view`: of a head, with the reason why it stands still."""

    def __init__(self, means: Means, paused: PausedTypes, heads: Heads, view: Callable[[Head], c.Description]) -> None:
        self._journal, self._config = means.journal, means.config
        self._paused, self._heads, self._view = paused, heads, view

    @guard_journal
    async def list(self, request: c.ListRequest) -> c.ListReply:
        check_name("namespace", request.namespace, self._config.id_characters_max)
        check_attributes(request.attributes)
        wanted = Filter(
            request.namespace, request.saga_type, frozenset(request.status), tuple(sorted(request.attributes.items())),
            request.started_after_ms, request.started_before_ms, request.build, request.blocked, request.paused,
            frozenset(request.sub_state), request.failure_type, request.ended_after_ms, request.ended_before_ms,
            request.id_prefix,
        )  # fmt: skip
        if request.correlation_key:
            return await self._keyed(wanted, request.correlation_key)
        try:
            limit = min(request.limit or 100, self._config.list_max)
            found = await self._journal.index.listing(wanted, limit, request.page)
        except ValueError as error:
            raise ServiceError("INVALID_ARGUMENT", str(error)) from None
        return c.ListReply(sagas=[self._row(head) for head in found.heads], next_page=found.next_page)

    async def _keyed(self, wanted: Filter, correlation_key: str) -> c.ListReply:
        """All of them in one page, as many as a key may have."""
        found = await self._heads.open_keyed(wanted.namespace, correlation_key)
        heads = sorted((head for head in found if passes(head, wanted)), key=lambda head: (-head.started_ms, head.run.saga))
        return c.ListReply(sagas=[self._row(head) for head in heads])

    @guard_journal
    async def statistics(self, request: c.StatisticsRequest) -> c.StatisticsReply:
        check_name("namespace", request.namespace, self._config.id_characters_max)
        index = self._journal.index
        tallies, standings = await asyncio.gather(index.tallies(request.namespace), index.standings(request.namespace))
        return c.StatisticsReply(
            tallies=map(_tally, tallies), paused_types=self._paused.of(request.namespace).values(),
            standings=map(_standing, standings.groups), at_least=standings.at_least,
        )  # fmt: skip

    def _row(self, head: Head) -> c.Description:
        """Of a listing: with what the run does."""
        view, one = self._view(head), head.doing
        view.sub_state = shown(sub_state(head))
        if view.blocked and not head.blocked:
            view.sub_state = h.NO_WORKER
        elif view.paused and view.sub_state != h.BLOCKED:
            view.sub_state = h.PAUSED
        if head.status in OPEN or one.failure_type:
            view.doing.CopyFrom(h.Doing(
                sub_state=shown(one.state), name=one.name, failure_type=one.failure_type, attempt=one.attempt,
                next_ms=one.next_ms, since_ms=one.since_ms,
            ))  # fmt: skip
        return view


def _tally(one: Tally) -> c.Tally:
    return c.Tally(
        saga_type=one.saga_type, status=shown(one.status), count=one.count, build=one.build, blocked=one.blocked,
        paused=one.paused,
    )  # fmt: skip


def _standing(one: Standing) -> c.Standing:
    return c.Standing(
        saga_type=one.saga_type, sub_state=shown(one.sub_state), name=one.name, failure_type=one.failure_type, count=one.count
    )
