"""Time, ids and dice come in as arguments, so that one seed can drive a worker and a client."""

from __future__ import annotations

import random
from typing import Protocol

from durable_saga.machine import Machine
from durable_saga.pb.random_ids import new_id


class Clock(Protocol):
    def now_ms(self) -> int:
        """Unix time in milliseconds."""


class SystemClock:
    def now_ms(self) -> int:
        return Machine.time_ns() // 1_000_000


class Chance(Protocol):
    def new(self) -> bytes:
        """16 bytes that nobody else has."""

    def random(self) -> float:
        """Uniform in [0, 1)."""


class SystemChance:
    def new(self) -> bytes:
        return new_id()

    def random(self) -> float:
        return random.random()
