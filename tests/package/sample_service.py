"""A service as somebody writes it, with FastAPI: what its checkers say of it is what they say of the installed package. The
`reveal_type` lines are read by the test; nothing runs it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, reveal_type

from fastapi import FastAPI, HTTPException

from durable_saga import Overview, Retry, SyncClient, Worker, connect, event, event_type, now, saga, signal, sleep, state, step
from durable_saga.errors import NotFound, SagaError
from durable_saga.testing import SagaTestRunner


@dataclass(frozen=True)
class Receipt:
    order: str
    amount: int


@dataclass(frozen=True)
class Pickup:
    place: str


picked_up = event_type("picked_up", Pickup)


@step(timeout=10, retry=Retry(max_attempts=3))
async def charge(order: str, amount: int) -> Receipt:
    return Receipt(order, amount)


@charge.compensation
async def refund(order: str, amount: int, result: Receipt | None) -> None:
    print("refund", order, amount, result)


@step
def reserve(order: str) -> str:
    return f"reservation of {order}"


@saga(timeout=timedelta(days=1))
async def place_order(order: str, amount: int) -> Receipt:
    reservation = reveal_type(await reserve(order))
    state.set("reservation", reservation)
    await sleep(1)
    reveal_type(now())
    reveal_type(await picked_up(timeout=60))
    return reveal_type(await charge(order, amount))


@saga
async def remind(order: str, days: int = 3) -> int:
    await sleep(timedelta(days=days))
    return days


client = connect("localhost:7233", namespace="shop")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    async with client, Worker(client, sagas=[place_order]):
        yield


app = FastAPI(lifespan=lifespan)


@app.put("/orders/{order}")
async def put_order(order: str, amount: int) -> dict[str, str]:
    handle = reveal_type(await client.start(place_order, order, amount, id=order, timeout=60))
    return {"id": handle.id}


@app.get("/orders/{order}")
async def get_order(order: str) -> dict[str, Any]:
    untyped = reveal_type(client.handle(order))
    await untyped.cancel("by its customer")
    try:
        found: Overview = await client.handle(order).overview()
        receipt = reveal_type(await client.handle(order, place_order).result(timeout=5))
    except NotFound as error:
        raise HTTPException(404, str(error)) from error
    except SagaError as error:
        raise HTTPException(409, error.saga) from error
    return {"status": found.status, "amount": receipt.amount}


async def follow(order: str) -> None:
    handle = client.handle(order, place_order)
    await handle.signal(picked_up, Pickup("Ulm"))
    async for found in handle.watch():
        reveal_type(found.status)


async def later(order: str) -> None:
    reveal_type(await client.start(remind, order, id=f"remind-{order}"))
    reveal_type(await client.start(remind, order, 7, id=f"soon-{order}", timeout=60))
    reveal_type(await client.start(remind, order, days=7))


def blocking() -> int:
    with SyncClient("localhost:7233") as sync:
        sync.handle("order-6").signal(picked_up, Pickup("Bonn"))
        reveal_type(sync.statistics())
        return reveal_type(sync.start(place_order, "order-7", 100, id="order-7").result()).amount


async def test_it() -> None:
    result = await SagaTestRunner().run(place_order, "order-7", 100)
    assert result.status == "completed"


__all__ = ["app", "blocking", "event", "follow", "later", "refund", "signal", "test_it"]
