"""What a worker may not say, and what follows when it does: nothing, for anybody else."""

from __future__ import annotations

import asyncio
import pathlib
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from durable_saga_server.config import Config
from durable_saga_server.history.appending import _VALUES, Rejected, check_commit, check_hello, check_release
from durable_saga_server.workers import handing, work
from durable_saga_server.workers.sessions import UNREAD_BYTES_MAX

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import limits
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb import worker_pb2 as w
from tests.attack.hostile import Hostile, Raw, standing


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def scheduled(seq: int = 1, time_ms: int = 0) -> h.Event:
    return h.Event(seq=seq, time_ms=time_ms or now_ms(), step_scheduled=h.StepScheduled(call="1", name="x"))


def ended(status: int) -> h.Event:
    event = h.Event(seq=1, time_ms=now_ms())
    event.saga_ended.status = status  # type: ignore[assignment]
    return event


def commit_of(*events: h.Event, status: int = h.RUNNING, **more: object) -> w.Commit:
    commit = w.Commit(commit_id=b"c" * 16, incarnation=b"i" * 16, epoch=1, events=events, **more)  # type: ignore[arg-type]
    commit.status = status  # type: ignore[assignment]
    return commit


async def is_sound(raw: Raw) -> None:
    """The lists of the namespace can be read."""
    for method, request in (
        ("List", c.ListRequest(namespace="n")), ("Statistics", c.StatisticsRequest(namespace="n")),
        ("Changes", c.ChangesRequest(namespace="n")),
    ):  # fmt: skip
        answer = await raw.ask(method, request)
        assert not isinstance(answer, tuple), answer


LONG = "x" * 256
WRONG_COMMITS = {
    "a status that nobody knows": commit_of(scheduled(), status=999),
    "a status that nobody knows, and an end": commit_of(ended(999), status=999),
    "an end of another status": commit_of(ended(h.FAILED), status=h.COMPLETED),
    "terminated by a worker": commit_of(
        h.Event(seq=1, saga_terminated=h.SagaTerminated()), status=h.TERMINATED
    ),
    "a time beyond every calendar": commit_of(scheduled(time_ms=2**62)),
    "a time that is two years ahead": commit_of(scheduled(time_ms=now_ms() + 2 * 366 * 86_400_000)),
    "woken before all time": commit_of(scheduled(), wake_at_ms=-1),
    "woken after less than nothing": commit_of(scheduled(), wake_in_ms=-1),
    "an epoch of nobody": commit_of(scheduled()),
    "a key that is too long": commit_of(h.Event(seq=1, key_declared=h.KeyDeclared(key=LONG))),
    "too many attributes": commit_of(
        h.Event(seq=1, attributes_set=h.AttributesSet(attributes={str(n): "x" for n in range(17)}))
    ),
    "an event that is too large": commit_of(
        h.Event(seq=1, step_failed=h.StepFailed(failure=p.Failure(message="x" * (limits.EVENT_BYTES_MAX + 1))))
    ),
    "a message id that is too long": commit_of(scheduled(), consumed=[LONG]),
    "an event far behind the last": commit_of(scheduled(limits.SEQ_MAX)),
}  # fmt: skip
WRONG_COMMITS["an epoch of nobody"].epoch = -5


@pytest.mark.parametrize("what", WRONG_COMMITS)
def test_a_commit_that_no_history_can_hold_is_rejected(what: str) -> None:
    check_commit(commit_of(scheduled()), now_ms())
    with pytest.raises(Rejected):
        check_commit(WRONG_COMMITS[what], now_ms())


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": h.COMPLETED}, {"next_seq": 0}, {"next_seq": 2**62}, {"epoch": 0}, {"wake_at_ms": -(2**63)},
        {"retry_after_ms": 2**64 - 1}, {"saga_type": LONG}, {"incarnation": b"x"}, {"consumed": [LONG]},
    ],
)  # fmt: skip
def test_a_release_that_says_what_it_may_not_is_rejected(wrong: dict[str, object]) -> None:
    right: dict[str, object] = {"status": h.RUNNING, "next_seq": 1, "epoch": 1, "incarnation": b"i" * 16}
    check_release(w.Release(**right))  # type: ignore[arg-type]
    with pytest.raises(Rejected):
        check_release(w.Release(**(right | wrong)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", LONG, "two\nlines", "\x1b]0;title\x07"])
def test_the_names_in_a_greeting_can_be_printed(name: str) -> None:
    check_hello(w.Hello(worker="w", namespace="n", saga_types=["t"]))
    for wrong in (
        w.Hello(worker=name, namespace="n"), w.Hello(worker="w", namespace=name),
        w.Hello(worker="w", namespace="n", saga_types=[name]),
    ):  # fmt: skip
        with pytest.raises(Rejected):
            check_hello(wrong)


def test_no_kind_of_event_with_a_value_is_overlooked() -> None:
    def holds_payload(kind: str) -> bool:
        body = h.Event.DESCRIPTOR.fields_by_name[kind].message_type
        assert body is not None
        inner = [field.message_type for field in body.fields if field.message_type is not None]
        inner += [entry.fields_by_name["value"].message_type for entry in inner if entry.GetOptions().map_entry]  # type: ignore[misc]
        return any(one is not None and one.full_name == p.Payload.DESCRIPTOR.full_name for one in inner)

    kinds = {field.name for field in h.Event.DESCRIPTOR.oneofs_by_name["kind"].fields}
    assert set(_VALUES) == {kind for kind in kinds if holds_payload(kind)} - {"saga_started"}


def test_a_wrong_commit_is_told_and_its_run_shown_as_blocked(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        async with standing(tmp_path) as raw:
            await raw.start("s")
            worker = Hostile(raw)
            reply = await worker.commit(await worker.assign("s"), 999, ended(999))
            assert reply.outcome == w.CommitReply.FENCED
            assert "999" in reply.reason
            await is_sound(raw)
            while not (found := await raw.describe("s")).blocked:
                await asyncio.sleep(0.02)
            assert "rejected" in found.blocked
            assert found.status == h.RUNNING
            worker.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("wrong", [{"status": h.COMPLETED}, {"blocked": "b", "retry_after_ms": 2**64 - 1}, {"wake_at_ms": -1}])
def test_a_wrong_release_ends_the_stream_and_nothing_else(tmp_path: pathlib.Path, wrong: dict[str, int]) -> None:
    async def scenario() -> None:
        async with standing(tmp_path) as raw:
            await raw.start("s")
            worker = Hostile(raw)
            worker.release(await worker.assign("s"), **wrong)
            code, words = await worker.until_ended()
            assert code == "INVALID_ARGUMENT", words
            assert (await raw.describe("s")).status == h.RUNNING
            other = Hostile(raw, "good")
            assert await other.assign("s")
            await is_sound(raw)
            other.close()

    asyncio.run(scenario())


def test_a_time_that_is_too_late_for_a_calendar_is_kept_as_the_last_one(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        async with standing(tmp_path) as raw:
            for saga, more in (("a", {"wake_at_ms": 2**63 - 1}), ("b", {"wake_in_ms": 2**62})):
                await raw.start(saga)
                worker = Hostile(raw, saga)
                worker.release(await worker.assign(saga), **more)
                while (found := await raw.describe(saga)).owner:
                    await asyncio.sleep(0.02)
                assert found.wake_at_ms == limits.TIME_MS_MAX
                worker.close()

    asyncio.run(scenario())


def test_one_who_had_the_run_before_can_not_commit_for_the_one_who_has_it(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        async with standing(tmp_path) as raw:
            await raw.start("s")
            first = Hostile(raw, "first")
            had = await first.assign("s")
            first.release(had, wake_at_ms=1)
            await asyncio.sleep(0.1)
            first.close()
            second = Hostile(raw, "second")
            has = await second.assign("s")
            assert has.epoch > had.epoch
            again = Hostile(raw, "first")
            had.epoch = has.epoch
            reply = await again.commit(had, h.RUNNING, scheduled())
            assert (reply.outcome, reply.reason) == (w.CommitReply.FENCED, "someone else owns the saga")
            again.release(had, wake_in_ms=10**9)
            stranger = Hostile(raw, "second", "m")
            assert (await stranger.until_ended())[0] == "PERMISSION_DENIED"
            assert (await second.commit(has, h.RUNNING, scheduled())).outcome == w.CommitReply.COMMITTED
            assert (await raw.describe("s")).owner == "second"
            for one in (again, second):
                one.close()

    asyncio.run(scenario())


def test_a_name_in_use_is_taken_over_with_its_secret_alone(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        async with standing(tmp_path) as raw:
            first = Hostile(raw, "w")
            secret = (await first.welcome()).secret
            assert len(secret) == 16
            for shown in (b"", b"x" * 16):
                code, words = await Hostile(raw, "w", secret=shown).until_ended()
                assert code == "PERMISSION_DENIED"
                assert "a name of its own" in words
            assert first.ended is None
            back = Hostile(raw, "w", secret=secret)
            assert (await back.welcome()).secret == secret
            assert (await first.until_ended())[0] == "OK"
            back.close()
            await asyncio.sleep(0.1)
            thief = Hostile(raw, "w")  # while its owner is away, as an old worker does that knows no secrets
            assert (await thief.welcome()).secret != secret
            owner = Hostile(raw, "w", secret=secret)
            assert (await owner.welcome()).secret == secret
            assert (await thief.until_ended())[0] == "OK"
            owner.close()

    asyncio.run(scenario())


def test_a_reference_to_a_value_that_is_not_there_is_refused(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        async with standing(tmp_path) as raw:
            await raw.start("s")
            worker = Hostile(raw)
            given = await worker.assign("s")
            for size in (2**62, 20_000, -1):
                event = scheduled()
                event.step_scheduled.input.hash, event.step_scheduled.input.size = b"h" * 32, size
                reply = await worker.commit(given, h.RUNNING, event)
                assert reply.outcome == w.CommitReply.FENCED, reply
                await asyncio.sleep(0.1)
            assert (await raw.describe("s")).next_seq == 1
            worker.close()

    asyncio.run(scenario())


def test_a_worker_that_does_not_read_is_sent_a_bounded_part_and_nothing_twice(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        async with standing(tmp_path) as raw:
            await raw.start("s")
            worker = Hostile(raw, reads=False)
            while not (await raw.describe("s")).owner:
                await asyncio.sleep(0.02)
            for first in range(0, 1_000, 50):
                answers = await asyncio.gather(*(raw.signal("s", f"m{n}", 15_000) for n in range(first, first + 50)))
                assert all(isinstance(one, c.MessageReply) for one in answers)
            (session,) = [one for one in raw.service.sessions if one.name == "evil"]
            (run,) = session.owned
            head = await raw.service.journal.runs.head(run)
            assert head is not None
            for _ in range(50):
                await raw.service.dispatcher.deliver_unread(session, head)
            assert session.outbox.unread_bytes < UNREAD_BYTES_MAX + 100_000
            got: list[str] = []
            async with asyncio.timeout(30):
                async for frame in worker.call:
                    for item in frame.items:
                        got += [one.message_id for one in item.assign.inbox]
                        got += [item.deliver.message.message_id] if item.HasField("deliver") else []
                    if len(got) >= 1_000:
                        break
            assert len(set(got)) == len(got) == 1_000, "all of them, and none twice"
            worker.close()

    asyncio.run(scenario())


def test_a_worker_that_reads_nothing_at_all_is_taken_for_dead(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        # the lease is long: on a busy machine its heartbeats come late, and silence is another reason
        async with standing(tmp_path, Config(lease_ms=20_000, unread_ms_max=500, reconnect_grace_ms=100)) as raw:
            await raw.start("s")
            worker = Hostile(raw, reads=False)
            while not (await raw.describe("s")).owner:
                await asyncio.sleep(0.02)

            async def beat() -> None:
                while True:
                    worker.say(w.WorkerItem(heartbeat=w.Heartbeat()))
                    await asyncio.sleep(0.1)

            beating = asyncio.create_task(beat())
            (session,) = raw.service.sessions
            handler: Any = getattr(session.break_off, "__self__")  # noqa: B009 - a callable has none for the type checker
            await asyncio.gather(*(raw.signal("s", f"m{n}", 15_000) for n in range(900)))
            while any(one.name == "evil" for one in raw.service.sessions):
                await asyncio.sleep(0.05)
            beating.cancel()
            assert "has read nothing" in caplog.text
            assert "Traceback" not in caplog.text
            async with asyncio.timeout(10):
                while not handler.done():  # nothing of its stream is kept
                    await asyncio.sleep(0.05)
            worker.close()
            other = Hostile(raw, "good")
            assert len((await other.assign("s")).inbox) == handing.ASSIGN_MESSAGES_MAX
            other.close()

    asyncio.run(scenario())


def test_nobody_else_keeps_a_silent_worker_alive(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        async with standing(tmp_path, Config(lease_ms=1_500, reconnect_grace_ms=100)) as raw:
            worker = Hostile(raw, "hung")
            welcome = (await worker.until(lambda item: item.HasField("welcome"))).welcome
            assert (await raw.work.Beat(w.BeatRequest(worker="hung", secret=welcome.secret))).known
            for secret in (b"", b"x" * 16):
                assert not (await raw.work.Beat(w.BeatRequest(worker="hung", secret=secret))).known
            async with asyncio.timeout(30):
                while any(one.name == "hung" for one in raw.service.sessions):
                    await raw.work.Beat(w.BeatRequest(worker="hung"))
                    await asyncio.sleep(0.05)
            worker.close()

    asyncio.run(scenario())


def test_a_stream_that_says_no_hello_is_ended(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "HELLO_SECONDS_MAX", 0.2)

    async def scenario() -> None:
        async with standing(tmp_path) as raw:

            async def silent() -> AsyncIterator[w.WorkerFrame]:
                await asyncio.sleep(10)
                yield w.WorkerFrame()

            with pytest.raises(grpc.aio.AioRpcError, match="no Hello came"):
                async for _ in raw.work.Work(silent()):
                    pass

    asyncio.run(scenario())


def test_an_inbox_has_a_limit_in_bytes(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        async with standing(tmp_path) as raw:
            await raw.start("s")
            refused = None
            for first in range(0, 2_000, 100):
                answers = await asyncio.gather(*(raw.signal("s", f"m{n}", 15_000) for n in range(first, first + 100)))
                refused = next((one for one in answers if isinstance(one, tuple)), refused)
            assert refused is not None
            assert refused[0] == "RESOURCE_EXHAUSTED"
            assert "INBOX_BYTES_MAX" in refused[1]

    asyncio.run(scenario())
