"""The order saga: five steps over three services, each with what undoes it."""

from __future__ import annotations

import json
import os
import urllib.request
from dataclasses import dataclass
from typing import Any

from durable_saga import Retry, saga, step, step_context

STOCK_OUT = "unicorn"
TIMES = Retry(max_attempts=10, initial=0.2, maximum=2.0)


@dataclass(frozen=True)
class Order:
    id: str
    item: str
    quantity: int
    card: str
    """`declined` fails when it is validated, `limited` when it is charged."""


@dataclass(frozen=True)
class Receipt:
    order_id: str
    payment_id: str


class CardDeclined(Exception):
    code = "CARD_DECLINED"


class OutOfStock(Exception):
    code = "OUT_OF_STOCK"


def call(service: str, path: str, order: Order, action: str, refusal: str = "") -> dict[str, Any]:
    """One request; the idempotency key of the step goes with it, an undo names the key of what it undoes."""
    key = step_context().idempotency_key.removesuffix("/undo")
    body = json.dumps({"key": key, "order_id": order.id, "action": action, "refusal": refusal}).encode()
    url = f"http://{os.environ[f'DEMO_{service.upper()}']}/{path}"
    with urllib.request.urlopen(url, data=body, timeout=10) as reply:
        found: dict[str, Any] = json.load(reply)
    return found


@step(timeout=15, retry=Retry(max_attempts=10, initial=0.2, maximum=2.0, non_retryable=(CardDeclined,)))
def validate_payment(order: Order) -> str:
    found = call("payment", "do", order, "validate", "declined" if order.card == "declined" else "")
    if "error" in found:
        raise CardDeclined(f"the card of {order.id} was declined")
    return str(found["id"])


@validate_payment.compensation
def release_payment(order: Order) -> None:
    call("payment", "undo", order, "validate")


@step(timeout=15, retry=Retry(max_attempts=10, initial=0.2, maximum=2.0, non_retryable=(OutOfStock,)))
def reserve_inventory(order: Order) -> str:
    found = call("inventory", "do", order, "reserve", "no stock" if order.item == STOCK_OUT else "")
    if "error" in found:
        raise OutOfStock(f"no {order.item} for {order.id}")
    return str(found["id"])


@reserve_inventory.compensation
def unreserve_inventory(order: Order, result: str | None) -> None:
    call("inventory", "undo", order, "reserve")


@step(timeout=15, retry=TIMES)
def create_order(order: Order) -> str:
    return str(call("orders", "do", order, "create")["id"])


@create_order.compensation
def cancel_order(order: Order) -> None:
    call("orders", "undo", order, "create")


@step(timeout=15, retry=Retry(max_attempts=10, initial=0.2, maximum=2.0, non_retryable=(CardDeclined,)))
def charge_payment(order: Order) -> str:
    found = call("payment", "do", order, "charge", "over the limit" if order.card == "limited" else "")
    if "error" in found:
        raise CardDeclined(f"the card of {order.id} is over its limit")
    return str(found["id"])


@charge_payment.compensation
def refund_payment(order: Order) -> None:
    call("payment", "undo", order, "charge")


@step(timeout=15, retry=TIMES)
def update_inventory(order: Order) -> str:
    return str(call("inventory", "do", order, "update")["id"])


@update_inventory.compensation
def restore_inventory(order: Order) -> None:
    call("inventory", "undo", order, "update")


@saga(timeout=600)
async def place_order(order: Order) -> Receipt:
    await validate_payment(order)
    await reserve_inventory(order)
    await create_order(order)
    payment_id = await charge_payment(order)
    await update_inventory(order)
    return Receipt(order.id, payment_id)
