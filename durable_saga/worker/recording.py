"""What is told of one run while a worker has it: lines of the log, with the saga that they are about."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from durable_saga.pb import history_pb2 as h
from durable_saga.pb.log_fields import about
from durable_saga.worker.failing import Attempted, FailureLog, tell_slow

log = logging.getLogger(__name__)


class Recording:
    """Of one run."""

    __slots__ = ("_failures", "_key", "saga_type")

    def __init__(self, key: h.RunKey, failures: FailureLog) -> None:
        self._key, self.saga_type = key, ""
        self._failures = failures

    def say(self, level: int, text: str, *args: Any) -> None:
        """A line about the run; it begins with its saga."""
        log.log(level, f"saga %s {text}", self._key.saga, *args, extra=about(self._key, self.saga_type))

    def status(self, status: h.Status, before: h.Status, events: Iterable[h.Event]) -> h.Status:
        """The status of the run, as its code has it, and what is new."""
        if status != before:
            self._failures.saga(self._key, self.saga_type, events)
        return status

    def failed(self, effect: Attempted, event: h.Event, now_ms: int) -> None:
        """An attempt that somebody waited for."""
        self._failures.attempt(self._key, self.saga_type, effect, event, now_ms)

    def slow(self, effect: Attempted, seconds: float) -> None:
        """An attempt that nothing ends."""
        tell_slow(self._key, self.saga_type, effect, seconds)
