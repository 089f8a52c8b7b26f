"""Testing a saga without a server (T1 to T4).

python -m pytest examples/test_order_processing.py
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from durable_saga.testing import Exploration, SagaResult, SagaTestRunner, ScheduleFailed, fails
from examples import shop
from examples.order_processing import ORDER, OrderProcessing


def test_an_order_is_completed(saga_runner: SagaTestRunner) -> None:
    result = anyio.run(saga_runner.run, OrderProcessing(), ORDER)
    assert result.status == "completed"
    assert len(result.completed_steps) == 5


def test_a_payment_that_fails_is_compensated(saga_runner: SagaTestRunner) -> None:
    saga_runner.mock_service("payment_service", validate=fails("Payment failed"))
    result = anyio.run(saga_runner.run, OrderProcessing(), ORDER)
    assert result.status == "compensated"
    assert "validate_payment" in result.compensated_steps


class Forgetful(OrderProcessing):
    """Its author believes that a charge without an answer is no charge."""

    name = "forgetful"

    async def refund_payment(self, context: dict[str, Any], result: str | None = None) -> None:
        if result is not None:
            await super().refund_payment(context)


def setup() -> dict[str, str]:
    """The world anew, before each of the runs."""
    for service in (shop.payment_service, shop.inventory_service, shop.order_service):
        service.entries.clear()
    return shop.payment_service.entries


def paid_only_if_completed(payments: dict[str, str], result: SagaResult) -> bool:
    return result.status == "completed" or not payments


async def explore(runner: SagaTestRunner, saga: OrderProcessing) -> Exploration:
    return await runner.explore(saga, ORDER, setup=setup, invariant=paid_only_if_completed)


def test_whatever_fails_or_crashes_nobody_pays_for_nothing(saga_runner: SagaTestRunner) -> None:
    found = anyio.run(explore, saga_runner, OrderProcessing())
    assert found.schedules > 50


def test_a_forgotten_refund_is_found(saga_runner: SagaTestRunner) -> None:
    with pytest.raises(ScheduleFailed, match="charge_payment"):
        anyio.run(explore, saga_runner, Forgetful())
