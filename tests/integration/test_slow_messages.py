"""A message whose write into the inbox takes its time: whatever is looked at meanwhile, the run hears of it.

The journal writes it only when the test lets it; everything else is as fast as memory. Intervals are short, so that the hints
of the run are looked at while the write is under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from durable_saga_server.config import Config
from durable_saga_server.journal import Head, Journal, Run, shard_of
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.wrapping import Call, WrappedJournal
from durable_saga_server.service import HistoryService

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w

CONFIG = Config(
    sweep_ms=50,
    rehint_ms=300,
    message_hint_ms=200,
    message_write_ms=4_000,
    horizon_ms=1_000,
    lease_ms=20_000,
    claim_grace_ms=100,
)
RUN = Run("default", "order-1")
KEY = h.RunKey(namespace="default", saga="order-1", run=1)
SECONDS = 8.0
"""Longer than every interval above together; only a failure takes it."""


class SlowInbox(WrappedJournal):
    def __init__(self) -> None:
        super().__init__(MemoryJournal())
        self.begun, self.let = asyncio.Event(), asyncio.Event()

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        if name == "inbox.put":
            self.begun.set()
            await self.let.wait()
        return await call(*args)


async def until(is_so: Callable[[], bool]) -> bool:
    for _ in range(int(SECONDS / 0.02)):
        if is_so():
            return True
        await asyncio.sleep(0.02)
    return False


async def parked(journal: Journal, owner: str = "") -> None:
    """A run that waits for nothing but a message."""
    now_ms = HistoryService(journal).clock.now_ms()
    head = Head(RUN, b"i" * 16, "order", h.RUNNING, owner, 1, 1, b"c" * 16, now_ms, now_ms)
    started = h.SagaStarted(saga_type="order", seed=b"s" * 16)
    await journal.runs.create(head, h.Event(seq=0, time_ms=now_ms, saga_started=started))


def signal(service: HistoryService, message_id: str = "m1") -> asyncio.Task[Any]:
    request = c.SignalRequest(key=KEY, message_id=message_id, name="go")
    return asyncio.ensure_future(service.calls["Signal"](request))


async def hints_are_handled(service: HistoryService) -> bool:
    """All that were written for the run up to now were looked at, and none is left to be looked at again."""
    journal, now_ms = service.journal, service.clock.now_ms()
    written = await journal.hints.due(shard_of(RUN), 0, now_ms + 10 * CONFIG.rehint_ms, 1_000)
    shard = service.waker._shards[shard_of(RUN)]
    return not shard.known and all(hint.due_ms <= now_ms for hint in written)


async def written_late() -> None:
    """Its hint is due -> the home looks and finds no message -> the taker writes the message, acknowledges it, and dies."""
    journal = SlowInbox()
    await parked(journal)
    home = HistoryService(journal, config=CONFIG, name="home")
    await home.start_up()
    await home.join("home:1")
    taker = HistoryService(journal, config=CONFIG, name="taker")  # it does no more than take the signal, then it is gone
    try:
        told = signal(taker)
        await journal.begun.wait()
        await asyncio.sleep(3 * CONFIG.message_hint_ms / 1000)
        journal.let.set()
        assert not (await told).duplicate
        assert await until(lambda: home.dispatcher.has_waiting(Run("default", "new"), "order")), (
            "nobody ever looks at the run again"
        )
    finally:
        await home.shut_down()


class RawWorker:
    """Speaks the protocol by hand. `items`: what it was sent."""

    def __init__(self, service: HistoryService, *owned: w.Owned) -> None:
        self.items: list[w.ServerItem] = []
        self._says: asyncio.Queue[w.WorkerItem] = asyncio.Queue()
        hello = w.Hello(worker="w1", protocol=1, namespace="default", saga_types=["order"], capacity=5, owned=owned)
        self.say(w.WorkerItem(hello=hello))
        self._service = service
        self.task = asyncio.ensure_future(self._listen())

    def say(self, item: w.WorkerItem) -> None:
        self._says.put_nowait(item)

    def sent(self, kind: str) -> list[Any]:
        return [getattr(item, kind) for item in self.items if item.HasField(kind)]

    def has_got(self, kind: str, count: int) -> bool:
        return len(self.sent(kind)) == count

    async def _frames(self) -> AsyncIterator[w.WorkerFrame]:
        while True:
            yield w.WorkerFrame(items=[await self._says.get()])

    async def _listen(self) -> None:
        async for frame in self._service.work(self._frames()):
            self.items.extend(frame.items)


@asynccontextmanager
async def served(journal: Journal, *owned: w.Owned) -> AsyncIterator[tuple[HistoryService, RawWorker]]:
    """By the only server, which has the only worker."""
    service = HistoryService(journal, config=CONFIG, name="only")
    await service.start_up()
    await service.join("only:1")
    worker = RawWorker(service, *owned)
    try:
        yield service, worker
    finally:
        worker.task.cancel()
        await asyncio.gather(worker.task, return_exceptions=True)
        await service.shut_down()


async def started(service: HistoryService, worker: RawWorker) -> w.Assign:
    """The run, as the worker has got it."""
    assert await until(lambda: service.sessions.fits("default", "order"))
    await service.calls["Start"](c.StartRequest(namespace="default", saga="order-1", saga_type="order"))
    assert await until(lambda: bool(worker.sent("assign")))
    given: w.Assign
    (given,) = worker.sent("assign")
    return given


async def written_while_parking() -> None:
    """The worker owns the run -> no hint for the message -> it parks the run, the inbox is empty -> the last hint of the run is
    looked at -> the message is written and acknowledged."""
    journal = SlowInbox()
    async with served(journal) as (service, worker):
        given = await started(service, worker)
        told = signal(service)
        await journal.begun.wait()
        release = w.Release(
            saga_type="order", key=KEY, incarnation=given.incarnation, epoch=given.epoch, next_seq=1, status=h.RUNNING
        )
        worker.say(w.WorkerItem(release=release))
        for _ in range(100):  # two seconds: the write takes less than the grace
            head = await journal.runs.head(RUN)
            if head is not None and not head.owner and await hints_are_handled(service):
                break
            await asyncio.sleep(0.02)
        journal.let.set()
        assert not (await told).duplicate
        assert await until(lambda: len(worker.sent("assign")) > 1), "nobody ever looks at the run again"


class Slow(WrappedJournal):
    """One call is done at once, and answered when the test lets it."""

    def __init__(self, call: str) -> None:
        super().__init__(MemoryJournal())
        self.done, self.let = asyncio.Event(), asyncio.Event()
        self._call = call

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        answer = await call(*args)
        if name == self._call:
            self.done.set()
            await self.let.wait()
        return answer


async def written_while_handed_out(call: str) -> None:
    """The journal has named the worker the owner -> the inbox was read, empty, or is not read because the run is new -> the
    message is written, acknowledged and sent, before the run itself is: the worker can't know what it is for."""
    journal = Slow(call)
    async with served(journal) as (service, worker):
        assert await until(lambda: service.sessions.fits("default", "order"))
        starting = None
        if call == "runs.create":
            request = c.StartRequest(namespace="default", saga="order-1", saga_type="order")
            starting = asyncio.ensure_future(service.calls["Start"](request))
        else:
            await parked(journal)
            service.dispatcher.wake(RUN, "order")
        await journal.done.wait()
        assert not (await signal(service)).duplicate
        assert worker.sent("assign") == []
        journal.let.set()
        if starting is not None:
            await starting
        assert await until(lambda: bool(worker.sent("assign")))
        assert [one.message_id for one in worker.sent("assign")[0].inbox] == ["m1"]


async def written_while_reclaimed() -> None:
    """A worker comes back and says that it owns the run -> its inbox is read, empty -> the message is written and acknowledged,
    before the server takes the worker for the owner."""
    journal = Slow("inbox.unread")
    await parked(journal, owner="w1")
    async with served(journal, w.Owned(key=KEY, epoch=1, incarnation=b"i" * 16)) as (service, worker):
        await journal.done.wait()
        assert not (await signal(service)).duplicate
        assert worker.sent("deliver") == []
        journal.let.set()
        assert await until(lambda: service.sessions.fits("default", "order"))
        assert await until(lambda: bool(worker.sent("deliver")))
        assert [one.message.message_id for one in worker.sent("deliver")] == ["m1"]


def test_a_message_that_is_written_while_a_worker_comes_back_reaches_it_at_once() -> None:
    asyncio.run(written_while_reclaimed())


class SlowLooks(WrappedJournal):
    """While it is armed, what an inbox held is told when the test lets that look go on. `looks`: those that wait."""

    def __init__(self) -> None:
        super().__init__(MemoryJournal())
        self.armed = False
        self.looks: list[asyncio.Event] = []

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        found = await call(*args)
        if name == "inbox.unread" and self.armed:
            self.looks.append(look := asyncio.Event())
            await look.wait()
        return found


async def looked_at_twice_at_once() -> None:
    """A look at the inbox of a run that has its worker -> a message -> another look, since a hint is due -> the first is
    answered, without the message -> another message, sent when the first one was acknowledged."""
    journal = SlowLooks()
    async with served(journal) as (service, worker):
        await started(service, worker)
        head = await journal.runs.head(RUN)
        assert head is not None
        (session,) = service.sessions
        journal.armed = True
        first = asyncio.ensure_future(service.dispatcher.deliver_unread(session, head))
        assert await until(lambda: len(journal.looks) == 1)
        assert not (await signal(service, "m1")).duplicate
        second = asyncio.ensure_future(service.dispatcher.deliver_unread(session, head))
        assert await until(lambda: len(journal.looks) == 2)
        journal.armed = False
        journal.looks[0].set()
        await first
        assert not (await signal(service, "m2")).duplicate
        journal.looks[1].set()
        await second
        assert await until(partial(worker.has_got, "deliver", 2))
        assert [one.message.message_id for one in worker.sent("deliver")] == ["m1", "m2"]


def test_a_message_does_not_overtake_another_while_two_look_at_the_inbox() -> None:
    asyncio.run(looked_at_twice_at_once())


class SlowHead(WrappedJournal):
    """While it is armed, what a head was is told when the test lets it."""

    def __init__(self) -> None:
        super().__init__(MemoryJournal())
        self.armed, self.let = False, asyncio.Event()

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        found = await call(*args)
        if name in ("runs.head", "runs.glance") and self.armed:
            await self.let.wait()
        return found


def commit_of(given: w.Assign, number: int, **event: Any) -> w.WorkerItem:
    status = h.COMPLETED if "saga_ended" in event else h.RUNNING
    return w.WorkerItem(commit=w.Commit(
        request=number, key=given.key, incarnation=given.incarnation, epoch=given.epoch, commit_id=bytes([number]) * 16,
        status=status, events=[h.Event(seq=number, time_ms=1, **event)],
    ))  # fmt: skip


async def ended_while_looked_up() -> None:
    """The worker tells that it owns the run -> the head is read, open -> the worker ends the run -> what was read arrives."""
    journal = SlowHead()
    async with served(journal) as (service, worker):
        given = await started(service, worker)
        journal.armed = True
        worker.say(w.WorkerItem(owned=w.Owned(key=KEY, epoch=given.epoch, incarnation=given.incarnation)))
        assert await until(lambda: RUN in service.dispatcher._handing)
        worker.say(commit_of(given, 1, saga_ended=h.SagaEnded(status=h.COMPLETED)))
        assert await until(lambda: bool(worker.sent("commit_reply")))
        journal.let.set()
        assert await until(lambda: bool(worker.sent("revoke"))), "it is taken for the owner"
        assert not any(session.owned for session in service.sessions)


def test_a_run_that_ended_while_it_was_looked_up_has_no_owner() -> None:
    asyncio.run(ended_while_looked_up())


async def sent_twice() -> None:
    """A commit -> the next one -> an old copy of the first, which is fenced: the worker owns the run as before."""
    async with served(MemoryJournal()) as (service, worker):
        given = await started(service, worker)
        first, second = (commit_of(given, number, timer_fired=h.TimerFired(due_ms=number)) for number in (1, 2))
        for turn, one in enumerate((first, second, first), 1):
            worker.say(one)
            assert await until(partial(worker.has_got, "commit_reply", turn))
        outcomes = [one.outcome for one in worker.sent("commit_reply")]
        assert outcomes == [w.CommitReply.COMMITTED, w.CommitReply.COMMITTED, w.CommitReply.FENCED]
        await asyncio.sleep(0.1)
        assert [RUN in session.owned for session in service.sessions] == [True]
        assert worker.sent("revoke") == []


def test_an_old_copy_of_a_commit_takes_the_run_from_nobody() -> None:
    asyncio.run(sent_twice())


class Hot(WrappedJournal):
    """Whenever the inbox of the run was read, another message is written into it, up to 100."""

    def __init__(self) -> None:
        super().__init__(MemoryJournal())
        self.signal: Callable[[str], asyncio.Task[Any]] | None = None
        self.signals = 0

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        found = await call(*args)
        if name == "inbox.unread" and self.signal is not None and self.signals < 100:
            self.signals += 1
            await self.signal(f"m{self.signals:03}")
        return found


async def written_without_end() -> None:
    """The run is given out while its messages don't cease, and all that came before go with it."""
    journal = Hot()
    await parked(journal)
    async with served(journal) as (service, worker):
        assert await until(lambda: service.sessions.fits("default", "order"))
        journal.signal = lambda message_id: signal(service, message_id)
        service.dispatcher.wake(RUN, "order")
        assert await until(lambda: bool(worker.sent("assign")))
        assert journal.signals < 5, "it is read again and again"
        got = [one.message_id for one in worker.sent("assign")[0].inbox]
        assert got == [f"m{number:03}" for number in range(1, len(got) + 1)]
        assert got


def test_a_run_is_handed_out_however_many_messages_come() -> None:
    asyncio.run(written_without_end())


@pytest.mark.parametrize("call", ["inbox.unread", "runs.create"])
def test_a_message_that_is_written_while_its_run_is_handed_to_a_worker_goes_with_it(call: str) -> None:
    asyncio.run(written_while_handed_out(call))


def test_a_message_that_is_written_later_than_its_hint_is_due_outlives_the_server_that_took_it() -> None:
    asyncio.run(written_late())


def test_a_message_that_is_written_while_its_worker_parks_the_run_wakes_it() -> None:
    asyncio.run(written_while_parking())
