"""Values of retry and time-out: they work, or are refused where they are written."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from durable_saga import Retry, Step, compensation, saga, step
from durable_saga.definition.retry import decide, delay_ms
from durable_saga.testing import SagaTestRunner


async def act() -> None: ...


async def says_no(error: BaseException) -> bool:
    return False


REFUSED: dict[str, Callable[[], Any]] = {
    "no attempts": lambda: Retry(max_attempts=0),
    "half an attempt": lambda: Retry(max_attempts=2.5),  # type: ignore[arg-type]
    "attempts as text": lambda: Retry(max_attempts="3"),  # type: ignore[arg-type]
    "attempts as a bool": lambda: Retry(max_attempts=True),
    "nan": lambda: Retry(initial=math.nan),
    "endless maximum": lambda: Retry(maximum=math.inf),
    "longest timedelta": lambda: Retry(maximum=timedelta.max),
    "endless factor": lambda: Retry(factor=math.inf),
    "no factor": lambda: Retry(factor=math.nan),
    "jitter": lambda: Retry(jitter=True),
    "names": lambda: Retry(non_retryable=["ValueError"]),  # type: ignore[list-item]
    "one name": lambda: Retry(non_retryable="ValueError"),  # type: ignore[arg-type]
    "async predicate": lambda: Retry(retry_if=says_no),  # type: ignore[arg-type]
    "no predicate": lambda: Retry(retry_if=3),  # type: ignore[arg-type]
    "a number as policy": lambda: step(retry=3)(act),  # type: ignore[call-overload]
    "a saga's policy": lambda: saga(retry=3)(act),  # type: ignore[call-overload]
    "a compensation's policy": lambda: compensation(retry=3)(act),  # type: ignore[arg-type]
    "no time": lambda: step(timeout=0)(act),
    "no time of a saga": lambda: saga(timeout=0)(act),
    "negative": lambda: step(timeout=-1)(act),
    "endless": lambda: step(timeout=math.inf)(act),
    "no number": lambda: step(timeout=math.nan)(act),
    "too long": lambda: step(timeout=1e18)(act),
    "text": lambda: step(timeout="5")(act),  # type: ignore[call-overload]
    "too wide a proof": lambda: step(not_applied=Exception)(act),
    "a proof by name": lambda: step(not_applied=("CardDeclined",))(act),  # type: ignore[arg-type]
    "another word": lambda: step(in_doubt="ignore")(act),  # type: ignore[call-overload]
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_followed_is_refused_with_file_and_line(name: str) -> None:
    with pytest.raises((ValueError, TypeError), match=r"test_policies\.py:\d+: "):
        REFUSED[name]()


def test_one_class_is_as_good_as_a_tuple() -> None:
    assert decide(Retry(non_retryable=ValueError), 1, ValueError(), 0.5) is None
    assert decide(Retry(non_retryable=[OSError, KeyError]), 1, FileNotFoundError(), 0.5) is None


def test_large_numbers_stay_below_the_maximum() -> None:
    for attempt in (1, 53, 10**6):
        for factor in (1.0, 2.0, 1e6, 1e300):
            policy = Retry(factor=factor, max_attempts=None, initial=1e-6, maximum=2)
            assert 0 <= delay_ms(policy, attempt, 0.5) <= 2_000
    assert delay_ms(Retry(initial=60, jitter=1), 9, 0.999) == 60_000


undone: list[Any] = []


@step
async def price() -> float:
    return Decimal("9.90")  # type: ignore[return-value]


@price.compensation
async def unprice(result: Any) -> None:
    undone.append(result)


@saga
async def mispriced() -> float:
    return await price()


def test_a_result_that_does_not_fit_reaches_what_undoes_it() -> None:
    undone.clear()
    result = asyncio.run(SagaTestRunner().run(mispriced))
    assert (result.status, undone) == ("compensated", [Decimal("9.90")])
    assert "its annotation is float" in str(result.error)


def test_a_table_has_the_same_options() -> None:
    one = Step("charge", act, not_applied=(KeyError,), in_doubt="leave")
    assert (one.not_applied, one.in_doubt) == ((KeyError,), "leave")
