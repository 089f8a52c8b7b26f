"""When a failed attempt is tried again. Pure: the random number comes in as an argument."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import Any, Literal

from durable_saga.errors import (
    LimitExceeded,
    NotApplied,
    NotSerializable,
    ResultRejected,
    StepInterrupted,
    UnsupportedOperation,
)

Backoff = Literal["exponential", "linear", "fixed"]
_FINAL = (LimitExceeded, NotApplied, NotSerializable, ResultRejected, StepInterrupted, UnsupportedOperation)
DURATION_SECONDS_MAX = 100 * 365 * 86_400


def to_ms(value: float | timedelta, *, name: str) -> int:
    """Seconds or a timedelta as whole milliseconds, rounded up. Raises ValueError below zero, above DURATION_SECONDS_MAX and
    for nan, TypeError for others."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{name} is {value!r}: give seconds or a timedelta")
    if math.isnan(seconds) or seconds < 0:
        raise ValueError(
            f"{name} is {value!r}, and it can't be {'negative' if seconds < 0 else 'that'}: give seconds from 0 on"
        )
    if seconds > DURATION_SECONDS_MAX:
        raise ValueError(f"{name} is {value!r}: give at most {DURATION_SECONDS_MAX} seconds (100 years)")
    return math.ceil(seconds * 1000)


def number(value: Any, *, name: str) -> float:
    """Raises TypeError for what is no number, ValueError for nan and infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is {value!r}: give a number")
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}: give a finite number")
    return value


def error_types(value: Any, *, name: str) -> tuple[type[BaseException], ...]:
    """A class of exceptions, or several, as a tuple. Raises TypeError for anything else."""
    found = (value,) if isinstance(value, type) else tuple(value) if isinstance(value, list | tuple | set | frozenset) else None
    if found is None or not all(isinstance(one, type) and issubclass(one, BaseException) for one in found):
        raise TypeError(f"{name} is {value!r}: give exception classes, such as (ValueError, OSError), not their names")
    return found


def caller_place() -> str:
    """File and line of the nearest code that is not of this package, for messages of definitions."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and f"{frame.f_globals.get('__name__', '')}.".startswith(("durable_saga.", "dataclasses.")):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "durable_saga"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A retry policy.

    - `max_attempts`: the number of attempts, including the first; None means without end.
    - `backoff`: the delay after attempt n is `initial * factor**(n-1)` ("exponential"), `initial * n` ("linear") or `initial`
      ("fixed").
    - `initial`, `maximum`: seconds or timedeltas. No delay is longer than `maximum`.
    - `jitter`: up to this share (0 to 1) is added to a delay or taken off it.
    - `non_retryable`: exception types that are final.
    - `retry_if`: a function of the exception; if it returns false, the exception is final. If it raises, the rest of the
      policy decides.

    Raises ValueError and TypeError, with file and line, for wrong values."""

    max_attempts: int | None = 4
    backoff: Backoff = "exponential"
    initial: float | timedelta = 1.0
    factor: float = 2.0
    maximum: float | timedelta = 60.0
    jitter: float = 0.1
    non_retryable: type[BaseException] | Sequence[type[BaseException]] = ()
    retry_if: Callable[[BaseException], bool] | None = None

    def __post_init__(self) -> None:
        try:
            self._check()
        except (ValueError, TypeError) as error:
            raise type(error)(f"{caller_place()}: {error}") from None
        object.__setattr__(self, "non_retryable", error_types(self.non_retryable, name="Retry(non_retryable)"))

    def _check(self) -> None:
        attempts = self.max_attempts
        if attempts is not None and (isinstance(attempts, bool) or not isinstance(attempts, int)):
            raise TypeError(f"Retry(max_attempts={attempts!r}): give a whole number, or None for no limit")
        if attempts is not None and attempts < 1:
            raise ValueError(f"Retry(max_attempts={attempts}): give at least 1, or None for no limit")
        if self.backoff not in ("exponential", "linear", "fixed"):
            raise ValueError(f"Retry(backoff={self.backoff!r}): give 'exponential', 'linear' or 'fixed'")
        if not 0 <= number(self.jitter, name="Retry(jitter)") <= 1:
            raise ValueError(f"Retry(jitter={self.jitter}): give a share from 0 to 1")
        if number(self.factor, name="Retry(factor)") < 1:
            raise ValueError(f"Retry(factor={self.factor}): give at least 1")
        to_ms(self.initial, name="Retry(initial)")
        to_ms(self.maximum, name="Retry(maximum)")
        error_types(self.non_retryable, name="Retry(non_retryable)")
        if self.retry_if is not None and not callable(self.retry_if):
            raise TypeError(f"Retry(retry_if={self.retry_if!r}): give a function of the error that says whether to try again")
        if inspect.iscoroutinefunction(self.retry_if):
            raise TypeError(f"Retry(retry_if={self.retry_if.__qualname__}): it can't be async; write a plain function")


FOREVER = Retry(max_attempts=None)


def policy_of(retry: Any, *, name: str) -> Retry | None:
    """What was given as a policy. Raises TypeError for what is none."""
    if retry is None or isinstance(retry, Retry):
        return retry
    raise TypeError(f"{name} is {retry!r}: give a policy, such as Retry(max_attempts=3)")


def delay_ms(retry: Retry, attempt: int, random: float) -> int:
    """The delay after a failed `attempt` (1 is the first); `random` is uniform in [0, 1)."""
    initial, maximum = to_ms(retry.initial, name="initial"), to_ms(retry.maximum, name="maximum")
    if retry.backoff == "exponential":
        delay = _grown(float(initial), retry.factor, attempt - 1, maximum)
    else:
        delay = min(initial * (attempt if retry.backoff == "linear" else 1), maximum)
    return min(math.ceil(delay * (1 + retry.jitter * (2 * random - 1))), maximum)


def _grown(initial: float, factor: float, times: int, maximum: int) -> float:
    """`initial * factor**times`, at most `maximum`, however large the numbers are."""
    if initial <= 0:
        return 0.0
    grown = math.log(initial) + times * math.log(factor)
    return initial * factor**times if grown < math.log(max(maximum, 1)) else float(maximum)


def decide(retry: Retry, attempt: int, error: BaseException, random: float) -> int | None:
    """Milliseconds until the next attempt, or None: give up. A predicate that raises is not asked."""
    return decide_and_tell(retry, attempt, error, random)[0]


def decide_and_tell(retry: Retry, attempt: int, error: BaseException, random: float) -> tuple[int | None, str]:
    """The same, with what is to be said of a predicate that could not be asked."""
    if issubclass(type(error), (*_FINAL, *retry.non_retryable)):  # type: ignore[misc]  # a tuple since it was made
        return None, ""
    if retry.max_attempts is not None and attempt >= retry.max_attempts:
        return None, ""
    wanted, note = True, ""
    if retry.retry_if is not None:
        wanted, note = _asked(retry.retry_if, error)
    return (delay_ms(retry, attempt, random) if wanted else None), note


def _asked(retry_if: Callable[[BaseException], Any], error: BaseException) -> tuple[bool, str]:
    try:
        answer = retry_if(error)
        if inspect.isawaitable(answer):
            if inspect.iscoroutine(answer):
                answer.close()
            return True, "its retry_if is async and was not called: write a plain function"
        return bool(answer), ""
    except BaseException as own:  # the step's error is the one that counts; this one is told beside it
        return True, f"its retry_if raised {type(own).__name__}: the rest of the policy decided"
