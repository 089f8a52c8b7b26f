"""The test runner: real steps or mocks, virtual time, results in the words of a saga."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest

from durable_saga import Retry, Saga, SagaStep, Step, WaitForEvent, event, saga, sleep, step
from durable_saga.testing import SagaTestRunner, UnknownName, fails, returns


class PaymentService:
    async def validate(self, token: str) -> str:
        return f"real {token}"

    def release(self, payment: str) -> None: ...


payment_service = PaymentService()


@step(retry=Retry(max_attempts=3, initial=600))
async def validate_payment(token: str) -> str:
    return await payment_service.validate(token)


@validate_payment.compensation
async def release_payment(token: str, result: str | None) -> None:
    payment_service.release(result or "none")


@saga(timeout=timedelta(days=3))
async def order(token: str) -> str:
    payment = await validate_payment(token)
    await sleep(timedelta(hours=24))
    approved = await event("approved", timeout=3600, type=str)
    return f"{payment} {approved}"


class OrderTable(Saga):
    name = "order_table"

    def __init__(self) -> None:
        self.payment_service = PaymentService()

    def define(self) -> list[SagaStep]:
        return [
            Step("validate_payment", self.validate_payment, compensation=self.release_payment, timeout=30),
            WaitForEvent("wait", event="go", timeout=86_400),
            Step("charge_payment", self.charge_payment, depends_on=["wait"]),
        ]

    async def validate_payment(self, context: Any) -> str:
        return await self.payment_service.validate(context["token"])

    async def release_payment(self, context: Any, result: str | None) -> None:
        self.payment_service.release(result or "none")

    def charge_payment(self, context: Any, results: Any) -> str:
        return f"charged {results['validate_payment']}"


def run(runner: SagaTestRunner, saga: Any, *args: Any) -> Any:
    return asyncio.run(runner.run(saga, *args))


def test_t1_a_saga_that_waits_a_day_is_tested_in_milliseconds(saga_runner: SagaTestRunner) -> None:
    began = time.monotonic()
    saga_runner.publish("approved", "by ann", after=timedelta(hours=24, minutes=30))
    result = run(saga_runner, order, "tok")
    assert result.status == "completed"
    assert result.value == "real tok by ann"
    assert timedelta(hours=24) < result.elapsed < timedelta(hours=25)
    assert time.monotonic() - began < 5


def test_t1_an_event_that_does_not_come_times_out(saga_runner: SagaTestRunner) -> None:
    result = run(saga_runner, order, "tok")
    assert result.status == "compensated"
    assert "EventTimedOut" in result.error
    assert result.names == ["validate_payment", "undo release_payment"]


def test_t2_payment_validation_fails_and_is_among_the_compensated(saga_runner: SagaTestRunner) -> None:
    saga_runner.mock_service("payment_service", validate=fails("Payment failed"))
    for one, argument in ((order, "tok"), (OrderTable(), {"token": "tok"})):
        result = run(saga_runner, one, argument)
        assert result.status == "compensated"
        assert "validate_payment" in result.compensated_steps
        assert result.completed_steps == []
        assert "Payment failed" in result.error
        assert [event.kind for event in result.journal][-1] == "saga_ended"
    assert payment_service.validate.__name__ == "validate", "the service is as it was"


def test_t3_steps_are_mocked_by_name_and_get_their_arguments(saga_runner: SagaTestRunner) -> None:
    saga_runner.publish("go")
    seen: list[Any] = []
    saga_runner.mock_step("validate_payment", returns("mocked"))

    def charge(context: Any, results: Any) -> str:
        seen.append((context, dict(results)))
        return "charged"

    saga_runner.mock_step("charge_payment", charge)
    result = run(saga_runner, OrderTable(), {"token": "t"})
    assert result.status == "completed"
    assert seen == [({"token": "t"}, {"validate_payment": "mocked", "wait": None})]
    assert result.completed_steps == ["validate_payment", "charge_payment"]


def test_t3_a_mock_that_fails_twice_is_retried_in_virtual_time(saga_runner: SagaTestRunner) -> None:
    saga_runner.mock_step("validate_payment", fails(ConnectionError("down"), times=2, then="back"))
    saga_runner.publish("approved", "ok")
    result = run(saga_runner, order, "tok")
    assert result.value == "back ok"
    assert result.names == ["validate_payment"] * 3
    assert result.elapsed > timedelta(minutes=25)


@pytest.mark.parametrize("saga", [order, OrderTable()], ids=["function", "table"])
def test_t3_a_misspelt_name_is_an_error_that_names_the_right_one(saga: Any, saga_runner: SagaTestRunner) -> None:
    argument = "tok" if saga is order else {"token": "t"}
    saga_runner.mock_step("validate_paymnt", returns(1))
    with pytest.raises(UnknownName, match="did you mean 'validate_payment'"):
        run(saga_runner, saga, argument)
    saga_runner.reset()
    saga_runner.mock_service("paymentservice", validate=returns(1))
    with pytest.raises(UnknownName, match="did you mean 'payment_service'"):
        run(saga_runner, saga, argument)
    saga_runner.reset()
    saga_runner.mock_service("payment_service", validte=returns(1))
    with pytest.raises(UnknownName, match="did you mean 'validate'"):
        run(saga_runner, saga, argument)
