"""A run that goes from a worker that died to another one, while the journal is in trouble: what was cut off stays known."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from durable_saga_server.journal import JournalError, Run
from durable_saga_server.journal.memory import MemoryJournal

from durable_saga.pb import history_pb2 as h
from tests.integration.test_slow_messages import RUN, parked, served, until


class Failing(MemoryJournal):
    """One call fails so many times, which is after the new owner was written where it reads what he gets."""

    def __init__(self, call: str) -> None:
        super().__init__()
        self.call, self.times = call, 2

    def _fail(self, call: str) -> None:
        if call == self.call and self.times:
            self.times -= 1
            raise JournalError("the answer was lost")

    async def inbox(self, run: Run) -> Sequence[h.InboxMessage]:
        self._fail("inbox")
        return await super().inbox(run)

    async def events(self, run: Run, first: int, limit: int) -> Sequence[h.Event]:
        self._fail("events")
        return await super().events(run, first, limit)


async def handed_on(call: str, former: str) -> bool:
    """Whether the worker hears that attempts may have been cut off."""
    journal = Failing(call)
    async with served(journal) as (service, worker):
        assert await until(lambda: service.sessions.fits("default", "order"))
        await parked(journal, owner=former)
        service.dispatcher.wake(RUN, "order", orphan=True)
        assert await until(lambda: bool(worker.sent("assign")))
        assert journal.times == 0
        assert len(service.dispatcher.not_given) == 0
        return bool(worker.sent("assign")[0].interrupted)


@pytest.mark.parametrize("call", ["inbox", "events"])
def test_what_a_dead_worker_had_under_way_is_counted_however_often_the_handing_out_fails(call: str) -> None:
    assert asyncio.run(handed_on(call, "one-that-died"))


@pytest.mark.parametrize("call", ["inbox", "events"])
def test_what_was_given_back_was_not_cut_off_however_often_the_handing_out_fails(call: str) -> None:
    assert not asyncio.run(handed_on(call, ""))
