"""A run that goes from a worker that died to another one, while the journal is in trouble: what was cut off stays known."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from durable_saga_server.journal import JournalError
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.wrapping import Call, WrappedJournal

from tests.integration.test_slow_messages import RUN, parked, served, until


class Failing(WrappedJournal):
    """One call fails so many times, which is after the new owner was written where it reads what he gets."""

    def __init__(self, call: str) -> None:
        super().__init__(MemoryJournal())
        self.call, self.times = call, 2

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        if name == self.call and self.times:
            self.times -= 1
            raise JournalError("the answer was lost")
        return await call(*args)


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


@pytest.mark.parametrize("call", ["inbox.unread", "runs.events"])
def test_what_a_dead_worker_had_under_way_is_counted_however_often_the_handing_out_fails(call: str) -> None:
    assert asyncio.run(handed_on(call, "one-that-died"))


@pytest.mark.parametrize("call", ["inbox.unread", "runs.events"])
def test_what_was_given_back_was_not_cut_off_however_often_the_handing_out_fails(call: str) -> None:
    assert not asyncio.run(handed_on(call, ""))
