"""Queries: answered where the code is, without an owner, in every status, and nothing is changed by them."""

from __future__ import annotations

import asyncio
import pathlib
from decimal import Decimal
from typing import Any

import pytest

from durable_saga import Client, Handle, Worker, connect
from durable_saga.errors import InvalidArgument, NotAnswered, QueryFailed
from tests.integration import query_sagas as q
from tests.integration.stage import remote

SAGAS: list[Any] = [q.shop_cart, q.counted, q.Shipping]
NAMED = ["here", "worker"]
LAMP = q.Item("lamp", Decimal("2.50"))


async def until(handle: Handle[Any], status: str) -> None:
    async with asyncio.timeout(20):
        while (await handle.overview()).status != status:
            await asyncio.sleep(0.02)


async def asked(handle: Handle[Any], where: str, query: Any, *args: Any, **options: Any) -> Any:
    """In this process, or by a worker: for whom the code is not here the name is all there is."""
    if where == "here":
        return await handle.query(query, *args, **options)
    name = next(name for name, one in q.shop_cart.definition.queries.items() if one is query)
    return await handle._client.handle(handle.id).query(name, *args, **options)


async def waiting_cart(client: Client, customer: str = "ann") -> Handle[str]:
    handle = await client.start(q.shop_cart, customer)
    await handle.signal("add", LAMP)
    async with asyncio.timeout(20):
        while await handle.query(q.names) != ["lamp"]:
            await asyncio.sleep(0.02)
    return handle


@pytest.mark.parametrize("where", NAMED)
def test_a_query_sees_typed_state_while_the_saga_runs_and_after_its_end(where: str) -> None:
    async def scenario() -> None:
        async with remote() as client, Worker(client, sagas=SAGAS):
            handle = await waiting_cart(client)
            seq = (await handle.describe()).next_seq
            assert await asked(handle, where, q.total, "EUR") == Decimal("2.50")
            assert await asked(handle, where, q.total, "EUR", rate=Decimal(2)) == Decimal("5.00")
            assert (await handle.describe()).next_seq == seq, "nothing was journaled"
            await handle.signal("add", None)
            assert await handle.result() == "ann"
            assert await asked(handle, where, q.total, "EUR") == Decimal("2.50")

    asyncio.run(scenario())


@pytest.mark.parametrize("where", NAMED)
def test_a_query_that_would_change_something_is_refused_with_a_sentence(where: str) -> None:
    async def scenario() -> None:
        async with remote() as client, Worker(client, sagas=SAGAS):
            handle = await waiting_cart(client)
            for how, words in (
                ("step", "step reserve can't be called in a query"), ("set", r"state.set\(\) can't be used in a query"),
                ("sleep", "a query only looks"), ("open", "reads or writes a file"),
            ):  # fmt: skip
                with pytest.raises(QueryFailed, match=words):
                    await asked(handle, where, q.wrong, how)
            with pytest.raises(QueryFailed, match="no rate for XXX") as found:
                await asked(handle, where, q.total, "XXX")
            assert isinstance(found.value.__cause__, LookupError)
            assert found.value.failure is not None
            assert "query_sagas.py" in found.value.failure.traceback
            with pytest.raises(InvalidArgument, match="can't take this"):
                await asked(handle, where, q.total, 7)
            with pytest.raises(InvalidArgument, match="did you mean 'total'"):
                await (handle if where == "here" else client.handle(handle.id)).query("totl")

    asyncio.run(scenario())


@pytest.mark.parametrize("where", NAMED)
def test_whatever_a_query_raises_ends_that_query_alone(where: str) -> None:
    async def scenario() -> None:
        async with remote() as client, Worker(client, sagas=SAGAS):
            handle = await waiting_cart(client)
            for how in ("exit", "interrupt", "unspeakable") * 2:  # more of them than there is room for at once
                with pytest.raises(QueryFailed, match="the query 'nasty' of saga"):
                    await asked(handle, where, q.nasty, how)
            assert await asked(handle, where, q.names) == ["lamp"]
            await handle.signal("add", None)
            assert await handle.result() == "ann"

    asyncio.run(scenario())


@pytest.mark.parametrize("where", NAMED)
def test_a_query_that_does_not_come_back_is_taken_out(where: str) -> None:
    async def scenario() -> None:
        async with remote() as client, Worker(client, sagas=SAGAS):
            handle = await waiting_cart(client)
            with pytest.raises((NotAnswered, TimeoutError)):
                await asked(handle, where, q.wrong, "loop", timeout=0.5)
            assert await asked(handle, where, q.names) == ["lamp"], "the next one is answered"

    asyncio.run(scenario())


@pytest.mark.parametrize("where", NAMED)
def test_paused_and_undone_sagas_answer_and_tell_of_the_unwind(where: str) -> None:
    async def scenario() -> None:
        async with remote() as client, Worker(client, sagas=SAGAS):
            handle = await waiting_cart(client, "bad")
            assert await asked(handle, where, q.progress) is None
            await handle.pause("a look")
            assert await asked(handle, where, q.names) == ["lamp"]
            await handle.resume()
            await handle.signal("add", None)
            await until(handle, "compensated")
            found = await asked(handle, where, q.progress)
            if where == "here":
                assert found.status == "COMPENSATED"
                assert "declined" in found.reason
                assert [(one.step, one.state) for one in found.compensations] == [("reserve", "done")]
            else:
                assert found is not None

    asyncio.run(scenario())


def test_without_a_worker_this_process_answers_and_a_caller_without_the_code_is_told_at_once() -> None:
    async def scenario() -> None:
        async with remote() as client:
            async with Worker(client, sagas=SAGAS):
                handle = await waiting_cart(client)
            assert await handle.query(q.total, "EUR") == Decimal("2.50")
            async with asyncio.timeout(3):
                with pytest.raises(NotAnswered, match="no worker connected"):
                    await client.handle(handle.id).query("total", "EUR")

    asyncio.run(scenario())


@pytest.mark.parametrize("where", NAMED)
def test_code_that_does_not_fit_answers_from_the_committed_state_and_says_so(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    async def scenario() -> None:
        async with remote() as client:
            async with Worker(client, sagas=SAGAS):
                handle = await waiting_cart(client)
            other = q.other_cart()
            async with Worker(client, sagas=[other], build="other") as worker:
                await worker.connected.wait()
                asks = client.handle(handle.id, other if where == "here" else None)
                caplog.clear()
                assert await asks.query("names") == ["lamp"]
                assert "does not fit the history" in caplog.text
                assert (await handle.describe()).blocked
                async with Worker(client, sagas=SAGAS, build="own") as worker:
                    await worker.connected.wait()
                    caplog.clear()
                    if where == "worker":
                        assert await asks.query("names") == ["lamp"]
                        assert "does not fit the history" not in caplog.text, "the worker whose code fits is asked"

    asyncio.run(scenario())


def test_the_queries_of_a_declared_saga_are_methods(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        async with connect(f"sqlite:///{tmp_path}/journal.db") as client, Worker(client, sagas=SAGAS):
            handle = await client.start(q.Shipping, {})
            async with asyncio.timeout(20):
                while await handle.query(q.Shipping.last, "none") != "pack":
                    await asyncio.sleep(0.02)
            assert await client.handle(handle.id, q.Shipping).query(q.Shipping.last, "none") == "pack"
            assert await client.handle(handle.id).query("last", "none") == "pack"

    asyncio.run(scenario())


def test_a_saga_of_another_type_is_told_apart() -> None:
    async def scenario() -> None:
        async with remote() as client, Worker(client, sagas=SAGAS):
            handle = await client.start(q.counted, 1)
            with pytest.raises(InvalidArgument, match="this is a query of 'shop_cart'"):
                await client.handle(handle.id).query(q.total, "EUR")

    asyncio.run(scenario())


def test_a_run_that_has_not_begun_has_an_empty_state() -> None:
    async def scenario() -> None:
        async with remote() as client:
            handle = await client.start(q.shop_cart, "ann")
            assert await handle.query(q.total, "EUR") == 0

    asyncio.run(scenario())
