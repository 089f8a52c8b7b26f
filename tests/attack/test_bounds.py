"""What one client or one damaged run may take from the others: a bounded part, or nothing."""

from __future__ import annotations

import asyncio
import pathlib
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from durable_saga_server.calls import streams as call_streams
from durable_saga_server.calls.gates import check_request
from durable_saga_server.failures import ServiceError
from durable_saga_server.journal import damage
from durable_saga_server.workers import damaged

from durable_saga import Worker, connect, saga, step
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.calls import ACCESS_REQUESTS, REQUESTS
from tests.attack.hostile import Hostile, standing


@step
async def one() -> int:
    return 1


@saga
async def short() -> int:
    return await one()


# --- words and numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [*REQUESTS.values(), *ACCESS_REQUESTS.values(), w.BeatRequest], ids=lambda kind: str(kind.DESCRIPTOR.name)
)
def test_every_word_and_every_number_of_a_request_has_a_limit(kind: Any) -> None:
    for field in kind.DESCRIPTOR.fields:
        for wrong in ("x" * 4_001,) if field.type == field.TYPE_STRING else (-1, 2**63 - 1 + 2**63):
            request = kind()
            try:
                getattr(request, field.name).append(wrong) if field.is_repeated else setattr(request, field.name, wrong)
            except (AttributeError, OverflowError, TypeError, ValueError):
                continue  # a message, or a number that this type can't hold
            if field.type != field.TYPE_BOOL:
                with pytest.raises(ServiceError, match=r"allowed|knows"):
                    check_request(request)


def test_lengths_and_hashes_are_not_a_clients_to_tell() -> None:
    request = c.StartRequest(input=p.Payload(data=b"x", hash=b"h" * 32, size=2**62))
    check_request(request)
    assert request.input == p.Payload(data=b"x")


@pytest.mark.parametrize("seal", [p.Seal(header=b"x" * 1_001), p.Seal(codec="x" * 256), p.Seal(key="x" * 256)])
def test_what_stands_beside_a_sealed_value_is_bounded(seal: p.Seal) -> None:
    for request in (c.StartRequest(input=p.Payload(data=b"x", seal=seal)), c.SignalRequest(input=p.Payload(seal=seal))):
        with pytest.raises(ServiceError, match="of a seal has"):
            check_request(request)
    check_request(c.StartRequest(input=p.Payload(data=b"x", seal=p.Seal(codec="c", key="k", header=b"x" * 1_000))))


def test_a_reason_of_60_mb_is_refused_and_the_limit_named(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        async with standing(tmp_path) as raw:
            await raw.start("s")
            key = h.RunKey(namespace="n", saga="s")
            answer = await raw.ask("Cancel", c.CancelRequest(key=key, message_id="m", reason="x" * 60_000_000))
            assert answer == ("INVALID_ARGUMENT", "the reason has 60000000 characters; 1 to 4000 are allowed")

    asyncio.run(scenario())


def test_what_is_no_message_is_answered_without_a_line_in_the_log(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with standing(tmp_path) as raw, grpc.aio.insecure_channel(f"127.0.0.1:{raw.server.port}") as channel:
            plain: Any = channel
            for path in ("durable_saga.v1.Sagas/List", "durable_saga.v1.Work/Beat", "grpc.health.v1.Health/Check"):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await plain.unary_unary(f"/{path}")(b"\xff\xff")
                assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            for path in ("durable_saga.v1.Work/Work", "durable_saga.v1.Sagas/Calls"):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    async for _ in plain.stream_stream(f"/{path}")(_once(b"\xff\xff")):
                        pass
                assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT

    asyncio.run(scenario())
    assert "Traceback" not in caplog.text
    assert "DecodeError" not in caplog.text


async def _once(data: Any) -> AsyncIterator[Any]:
    yield data
    await asyncio.sleep(10)


# --- waits ----------------------------------------------------------------------------------------------------------------


def wait_frame(*numbers: int) -> c.CallFrame:
    request = c.WaitRequest(key=h.RunKey(namespace="n", saga="s"), wait_ms=30_000).SerializeToString()
    return c.CallFrame(calls=[c.Call(number=number, method="Wait", request=request) for number in numbers])


def test_waits_are_bounded_on_a_connection_and_in_all(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_streams, "WAITS_PER_CONNECTION_MAX", 10)
    monkeypatch.setattr(call_streams, "WAITS_MAX", 15)

    async def scenario() -> None:
        async with standing(tmp_path) as raw:
            await raw.start("s")
            first, second = (raw.sagas.Calls(_once(wait_frame(*range(12)))) for _ in range(2))
            told = [reply.message for stream in (first, second) for reply in (await anext(aiter(stream))).replies]
            assert sum("WAITS_PER_CONNECTION_MAX" in one for one in told) == 2
            assert sum("(WAITS_MAX)" in one for one in told) == 7
            for stream in (first, second):
                stream.cancel()
            await asyncio.sleep(0.1)
            assert raw.service.call_streams._waits.count == 0

    asyncio.run(scenario())


def test_a_number_that_is_in_use_ends_its_stream(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        async with standing(tmp_path) as raw:
            await raw.start("s")
            stream = raw.sagas.Calls(_once(wait_frame(*[1] * 60_000)))
            with pytest.raises(grpc.aio.AioRpcError, match="its own number"):
                async for _ in stream:
                    pass
            assert raw.service.call_streams._waits.count == 0

    asyncio.run(scenario())


# --- damage ---------------------------------------------------------------------------------------------------------------


def damage_row(folder: pathlib.Path, saga_id: str, seq: int) -> None:
    database = sqlite3.connect(folder / "j.db")
    where = "head = (SELECT id FROM heads WHERE saga = ?) AND seq = ?"
    assert database.execute(f"UPDATE events SET event = x'ffffff' WHERE {where}", (saga_id, seq)).rowcount == 1
    database.commit()
    database.close()


def test_a_damaged_run_is_shown_with_what_is_left_and_all_others_go_on(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(damaged, "DAMAGED_AGAIN_MS", 500)

    async def scenario() -> None:
        async with standing(tmp_path) as raw:
            address = f"127.0.0.1:{raw.server.port}"
            async with connect(address, namespace="n") as client:
                async with Worker(client, sagas=[short]):
                    done = await client.start(short, id="done")
                    assert await done.result() == 1
                waits = await client.start(short, id="waits")
                damage_row(tmp_path, "done", 1)
                damage_row(tmp_path, "waits", 0)
                found = await done.describe()
                assert "event 1 can't be read" in found.damaged
                assert found.result == 1
                assert [event.seq for event in await done.history()] == [0, 2, 3]
                async with Worker(client, sagas=[short]):
                    other = await client.start(short, id="other")
                    assert await other.result() == 1
                    while "is damaged" not in (await waits.describe()).blocked:
                        await asyncio.sleep(0.02)
                    assert {one.id async for one in client.list()} == {"done", "waits", "other"}
                await waits.terminate("it can't be read")
                assert (await waits.describe()).status == "terminated"

    asyncio.run(scenario())


def test_an_unknown_number_in_a_journal_is_shown(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        async with standing(tmp_path) as raw:
            await raw.start("s")
            database = sqlite3.connect(tmp_path / "j.db")
            database.execute("UPDATE heads SET status = 999, started_ms = ?", (2**62,))
            database.execute("UPDATE tallies SET status = 999")
            database.commit()
            database.close()
            async with connect(f"127.0.0.1:{raw.server.port}", namespace="n") as client:
                overview = await client.handle("s").overview()
                assert overview.status == "status_999"
                assert overview.started_at is not None
                assert [one.status async for one in client.list()] == ["status_999"]
                assert (await client.statistics()).by_status == {"status_999": 1}

    asyncio.run(scenario())


def test_a_history_is_read_in_pieces_that_fit(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(damage, "READ_BYTES_MAX", 100_000)

    async def scenario() -> None:
        async with standing(tmp_path) as raw:
            await raw.start("s")
            worker = Hostile(raw)
            given = await worker.assign("s")
            events = [
                h.Event(
                    seq=seq, time_ms=given.events[0].time_ms, step_failed=h.StepFailed(failure=p.Failure(message="x" * 50_000))
                )
                for seq in range(1, 41)
            ]
            assert (await worker.commit(given, h.RUNNING, *events)).outcome == w.CommitReply.COMMITTED
            page = await raw.ask("History", c.HistoryRequest(key=given.key))
            assert 1 < len(page.events) < 10
            assert page.next_seq == len(page.events)
            async with connect(f"127.0.0.1:{raw.server.port}", namespace="n") as client:
                assert len(await client.handle("s").history()) == 41
                assert not (await client.handle("s").describe()).damaged
            worker.close()

    asyncio.run(scenario())
