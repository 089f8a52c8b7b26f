"""The idempotency key of a call: the same in each attempt, another in the next life of the saga's id."""

from __future__ import annotations

import asyncio
import re

import pytest
from durable_saga_server.config import Config
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.service import HistoryService

from durable_saga import Client, Retry, Worker, saga, step, step_context
from durable_saga.errors import NotFound, SagaCompensated
from durable_saga.testing import SagaTestRunner
from durable_saga.transport.transport import LocalTransport

SHORT = Config(
    retention_ms=300, hint_grace_ms=100, rehint_ms=100, horizon_ms=500, sweep_ms=100, hint_late_ms=100, mark_every_ms=100,
    message_hint_ms=100,
)  # fmt: skip
KEYS: list[str] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    KEYS.clear()


@step(retry=Retry(max_attempts=2, initial=0.01))
async def charge(order: str) -> None:
    KEYS.append(step_context().idempotency_key)
    raise ConnectionError("no answer")


@charge.compensation
async def refund(order: str) -> None:
    KEYS.append(step_context().idempotency_key)


@saga
async def pay(order: str) -> None:
    await charge(order)


async def live_once(client: Client) -> list[str]:
    KEYS.clear()
    handle = await client.start(pay, "order/7", id="order/7")
    with pytest.raises(SagaCompensated):
        await handle.result()
    assert KEYS[0] == KEYS[1], "one key for both attempts"
    return KEYS[1:]


def test_a_second_life_of_an_id_has_other_keys() -> None:
    async def scenario() -> None:
        service = HistoryService(MemoryJournal(), config=SHORT)
        async with Client(LocalTransport(service)) as client, Worker(client, sagas=[pay]):
            first = await live_once(client)
            async with asyncio.timeout(30):
                while True:
                    try:
                        await client.handle("order/7").describe()
                    except NotFound:
                        break
                    await asyncio.sleep(0.05)
            second = await live_once(client)
        shape = re.compile(r"default/order/7/1/[0-9a-f]{16}/(.+)")
        matches = [shape.fullmatch(key) for key in (*first, *second)]
        calls = [match[1] for match in matches if match is not None]
        assert calls == ["1", "1/undo", "1", "1/undo"], (first, second)
        assert not {*first} & {*second}

    asyncio.run(scenario())


def test_a_step_in_a_test_has_a_key_of_the_same_shape() -> None:
    async def scenario() -> None:
        assert (await SagaTestRunner().run(pay, "order-7")).status == "compensated"
        assert re.fullmatch(r"test/saga/1/[0-9a-f]{16}/1", KEYS[0]), KEYS
        assert KEYS[0] == KEYS[1]

    asyncio.run(scenario())
