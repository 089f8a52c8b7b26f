"""The HTTP side: start, status, progress as server-sent events, a webhook.

The worker runs in this process, so one command is the whole service. With `DURABLE_SAGA_URL` a server is used, and then
`durable-saga worker examples.fastapi_shop.sagas` may run beside it or instead.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from durable_saga import Client, Overview, Worker, connect
from durable_saga.errors import AlreadyEnded
from examples.fastapi_shop import failures
from examples.fastapi_shop.sagas import Order, place_order

log = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    url = os.environ.get("DURABLE_SAGA_URL", "sqlite:///orders.db")
    async with connect(url) as client, Worker(client, sagas=[place_order]):
        app.state.sagas = client
        yield  # when the service stops, the worker lets attempts finish and gives its sagas back


def client_of(request: Request) -> Client:
    client: Client = request.app.state.sagas
    return client


Sagas = Annotated[Client, Depends(client_of)]
app = FastAPI(lifespan=lifespan)
failures.install(app)


@app.put("/orders/{order_id}", status_code=202)
async def put_order(order_id: str, order: Order, sagas: Sagas, response: Response) -> dict[str, str]:
    """The id is the caller's, so the request may be repeated: the second one finds the first order. 202: it is durable now,
    and goes on behind this answer. 409: the id is there with another order."""
    handle = await sagas.start(place_order, order, id=order_id)
    response.status_code = 200 if handle.already_started else 202
    response.headers["Location"] = f"/orders/{order_id}"
    return {"id": handle.id}


@app.get("/orders/{order_id}")
async def get_order(order_id: str, sagas: Sagas) -> dict[str, Any]:
    return shown(await sagas.handle(order_id).overview())


@app.delete("/orders/{order_id}", status_code=202)
async def cancel_order(order_id: str, sagas: Sagas) -> dict[str, str]:
    """Durable when it answers; what was done is undone behind it."""
    await sagas.handle(order_id).cancel("its customer asked for it")
    return {"id": order_id}


@app.get("/orders/{order_id}/progress")
async def progress(order_id: str, sagas: Sagas) -> StreamingResponse:
    changes = sagas.handle(order_id).watch()
    first = await anext(changes)  # an order that is not there is a 404, not a stream
    return StreamingResponse(told(first, changes), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def told(first: Overview, changes: AsyncIterator[Overview]) -> AsyncGenerator[str, None]:
    """One event for each change, until the order has ended. A browser that is gone ends it."""
    yield f"data: {(last := json.dumps(shown(first)))}\n\n"
    async for found in changes:
        if (now := json.dumps(shown(found))) != last:  # it may have changed in what is not shown
            yield f"data: {(last := now)}\n\n"


def shown(found: Overview) -> dict[str, Any]:
    """What a customer may know: no traceback."""
    return {"id": found.id, "status": found.status, "step": found.current_step, "done": found.completed_steps}


class Payment(BaseModel):
    id: str
    """The provider's own id of this message: it sends a message again when it gets no answer."""
    order: str
    reference: str


@app.post("/webhooks/payments", status_code=204)
async def payment(request: Request, sagas: Sagas, x_signature: Annotated[str, Header()]) -> None:
    """204 means that the payment is in the journal; anything else makes the provider send it again. With the provider's id as
    `message_id` a second delivery does nothing."""
    body = await request.body()
    secret = os.environ["PAYMENTS_SECRET"].encode()
    if not hmac.compare_digest(hmac.new(secret, body, "sha256").hexdigest(), x_signature):
        raise HTTPException(401, "the signature is wrong")
    paid = Payment.model_validate_json(body)
    try:
        await sagas.publish("paid", paid.reference, saga=paid.order, message_id=paid.id)
    except AlreadyEnded:
        log.warning("payment %s is for order %s, which has ended: somebody has to look", paid.reference, paid.order)
