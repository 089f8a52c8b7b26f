"""When a failed attempt is tried again. Pure: the random number comes in as an argument."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from durable_saga.errors import LimitExceeded, NotApplied, NotSerializable, StepInterrupted

Backoff = Literal["exponential", "linear", "fixed"]
_FINAL = (LimitExceeded, NotApplied, NotSerializable, StepInterrupted)


def to_ms(value: float | timedelta, *, name: str) -> int:
    """Seconds or a timedelta as whole milliseconds, rounded up. Raises ValueError below zero and TypeError for others."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{name} is {value!r}: give seconds or a timedelta")
    if math.isnan(seconds) or seconds < 0:
        raise ValueError(f"{name} is {value!r}: it can't be negative")
    return math.ceil(seconds * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A retry policy. `max_attempts` counts the first one, None is without end. The delay after attempt n is
    `initial * factor**(n-1)` (exponential), `initial * n` (linear) or `initial` (fixed), at most `maximum`, all in seconds
    or timedeltas, and then up to `jitter` (a share of it) more or less. Exceptions of `non_retryable` types, or for which
    `retry_if` is false, are final."""

    max_attempts: int | None = 4
    backoff: Backoff = "exponential"
    initial: float | timedelta = 1.0
    factor: float = 2.0
    maximum: float | timedelta = 60.0
    jitter: float = 0.1
    non_retryable: tuple[type[BaseException], ...] = ()
    retry_if: Callable[[BaseException], bool] | None = None

    def __post_init__(self) -> None:
        if self.max_attempts is not None and self.max_attempts < 1:
            raise ValueError(f"Retry(max_attempts={self.max_attempts}): at least 1, or None for no end")
        if self.backoff not in ("exponential", "linear", "fixed"):
            raise ValueError(f"Retry(backoff={self.backoff!r}): 'exponential', 'linear' or 'fixed'")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"Retry(jitter={self.jitter}): a share from 0 to 1")
        if self.factor < 1:
            raise ValueError(f"Retry(factor={self.factor}): at least 1")
        to_ms(self.initial, name="Retry(initial)")
        to_ms(self.maximum, name="Retry(maximum)")


FOREVER = Retry(max_attempts=None)


def delay_ms(retry: Retry, attempt: int, random: float) -> int:
    """The delay after a failed `attempt` (1 is the first); `random` is uniform in [0, 1)."""
    initial, maximum = to_ms(retry.initial, name="initial"), to_ms(retry.maximum, name="maximum")
    if retry.backoff == "exponential":
        exponent = min(attempt - 1, 64)
        delay = min(initial * retry.factor**exponent, maximum)
    else:
        delay = min(initial * (attempt if retry.backoff == "linear" else 1), maximum)
    return math.ceil(delay * (1 + retry.jitter * (2 * random - 1)))


def decide(retry: Retry, attempt: int, error: BaseException, random: float) -> int | None:
    """Milliseconds until the next attempt, or None: give up."""
    if isinstance(error, (*_FINAL, *retry.non_retryable)):
        return None
    if retry.max_attempts is not None and attempt >= retry.max_attempts:
        return None
    if retry.retry_if is not None and not retry.retry_if(error):
        return None
    return delay_ms(retry, attempt, random)
