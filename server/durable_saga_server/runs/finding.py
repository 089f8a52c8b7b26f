"""Runs by what they are and do: listings, and counts of all that there is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga_server.failures import ServiceError, check_attributes, check_name, guard_journal
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Filter, Head, Standing, Standings, Tally
from durable_saga_server.journal.rules import page_token, passes, read_page_token, sub_state
from durable_saga_server.means import Means
from durable_saga_server.runs.heads import Heads
from durable_saga_server.runs.reading import shown
from durable_saga_server.workers.paused_types import PausedTypes

LACKING_TYPES_MAX = 50
"""Types without a worker that one page asks for."""
_AT_WORK = frozenset({h.RUNNING, h.COMPENSATING})
_TOLD = frozenset({h.RETRYING, h.WAITING, h.SLEEPING, h.SETTLING, h.UNWINDING})


class Finding:
    """Every call raises ServiceError. `view`: of a head, with the reason why it stands still."""

    def __init__(
        self, means: Means, paused: PausedTypes, heads: Heads, view: Callable[[Head], c.Description],
        lacking: Callable[[str, Iterable[Tally]], list[str]],
    ) -> None:  # fmt: skip
        """`lacking`: which types with open sagas, by what is counted in a namespace, no worker runs."""
        self._journal, self._config = means.journal, means.config
        self._paused, self._heads, self._view, self._lacking = paused, heads, view, lacking

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
            if h.NO_WORKER in wanted.sub_states:
                return await self._without_worker(wanted, limit, request.page)
            found = await self._journal.index.listing(wanted, limit, request.page)
        except ValueError as error:
            raise ServiceError("INVALID_ARGUMENT", str(error)) from None
        return c.ListReply(sagas=[self._row(head) for head in found.heads], next_page=found.next_page)

    async def _without_worker(self, wanted: Filter, limit: int, page: str) -> c.ListReply:
        """Nothing is written of them: the types are asked for one by one. Raises ServiceError, ValueError and JournalError."""
        if len(wanted.sub_states) > 1:
            raise ServiceError("INVALID_ARGUMENT", "ask for no_worker alone: it is no state that the journal keeps")
        statuses = wanted.statuses & _AT_WORK if wanted.statuses else _AT_WORK
        types = self._lacking(wanted.namespace, await self._journal.index.tallies(wanted.namespace))
        types = [one for one in types if wanted.saga_type in ("", one)][:LACKING_TYPES_MAX]
        rows, until = list[Head](), ""
        for saga_type in types if statuses else ():
            of_type = replace(wanted, saga_type=saga_type, statuses=statuses, sub_states=frozenset())
            found = await self._journal.index.listing(of_type, limit, page)
            rows += found.heads
            if found.next_page:  # what is behind it of the other types comes with the next page
                until = max(until, found.next_page, key=_place) if until else found.next_page
        rows = sorted((one for one in rows if not until or _place(page_token(one)) >= _place(until)), key=_order)
        if len(rows) > limit:
            rows, until = rows[:limit], page_token(rows[limit - 1])
        views = [self._row(one) for one in rows]
        return c.ListReply(sagas=[one for one in views if one.sub_state == h.NO_WORKER], next_page=until)

    async def _keyed(self, wanted: Filter, correlation_key: str) -> c.ListReply:
        """All of them in one page, as many as a key may have."""
        found = await self._heads.open_keyed(wanted.namespace, correlation_key)
        heads = sorted((head for head in found if passes(head, wanted)), key=lambda head: (-head.started_ms, head.run.saga))
        return c.ListReply(sagas=[self._row(head) for head in heads])

    @guard_journal
    async def statistics(self, request: c.StatisticsRequest) -> c.StatisticsReply:
        check_name("namespace", request.namespace, self._config.id_characters_max)
        index, tallies = self._journal.index, list[Tally]()
        if request.standings_alone:
            standings = await index.standings(request.namespace)
        else:
            found, standings = await asyncio.gather(index.tallies(request.namespace), index.standings(request.namespace))
            tallies = list(found)
        groups = [*standings.groups, *self._nobodys(request.namespace, tallies, standings)]
        return c.StatisticsReply(
            tallies=map(_tally, tallies), paused_types=self._paused.of(request.namespace).values(),
            standings=map(_standing, groups), at_least=standings.at_least,
        )  # fmt: skip

    def _nobodys(self, namespace: str, tallies: Sequence[Tally], standings: Standings) -> Iterator[Standing]:
        """Of each type that no worker runs, the sagas that are at work as far as the journal tells."""
        for saga_type in self._lacking(namespace, tallies):
            of = (one for one in tallies if one.saga_type == saga_type and one.status in _AT_WORK)
            count = sum(one.count for one in of if not one.blocked and not one.paused)
            told = (one for one in standings.groups if one.saga_type == saga_type and one.sub_state in _TOLD)
            if (count := count - sum(one.count for one in told)) > 0:
                yield Standing(saga_type, h.NO_WORKER, "", "", count)

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


def _order(head: Head) -> tuple[int, str, int]:
    return -head.started_ms, head.run.saga, head.run.run


def _place(page: str) -> tuple[int, tuple[int, ...], int]:
    """Later in a listing is lower."""
    started_ms, saga, run = read_page_token(page)
    return started_ms, tuple(-ord(one) for one in saga), -run


def _tally(one: Tally) -> c.Tally:
    return c.Tally(
        saga_type=one.saga_type, status=shown(one.status), count=one.count, build=one.build, blocked=one.blocked,
        paused=one.paused,
    )  # fmt: skip


def _standing(one: Standing) -> c.Standing:
    return c.Standing(
        saga_type=one.saga_type, sub_state=shown(one.sub_state), name=one.name, failure_type=one.failure_type, count=one.count
    )
