"""The core of one run, its code watched: what does not come back is taken out."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from durable_saga.errors import SwallowedCancellation
from durable_saga.machine import Machine
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.log_fields import about
from durable_saga.replay import Core
from durable_saga.replay.aside import Decode
from durable_saga.replay.commands import NOT_DECODED, Output
from durable_saga.telemetry import tracing
from durable_saga.watchdog import ACTIVATION_SECONDS_MAX, DISCARD_SECONDS_MAX, ActivationTooLong, watch_here
from durable_saga.worker.recording import attributes_of

log = logging.getLogger(__name__)


def swallowed(wrong: str) -> SwallowedCancellation:
    """Of code that goes on although its run was dropped."""
    return SwallowedCancellation(f"{wrong}: let BaseException through, so that it can leave memory while it waits")


class WatchedCore:
    """For the thread that makes it. Once a method raised, the core can only be discarded."""

    def __init__(self, core: Core, seconds: float = ACTIVATION_SECONDS_MAX) -> None:
        self._core = core
        self._seconds = seconds
        self._watch = watch_here()
        self._carried: Mapping[str, str] = {}

    def replay(self, events: Sequence[h.Event]) -> None:
        """Raises ActivationTooLong, and as Core.replay()."""
        for _ in self.replaying(events):
            pass

    def replaying(self, events: Sequence[h.Event]) -> Generator[Decode, tuple[Any] | None]:
        """As Core.replaying(); raises ActivationTooLong."""
        replaying, sent = self._core.replaying(events), None
        self._carried = dict(events[0].saga_started.carried)
        with self._stretch(events[-1], is_new=len(events) == 1):
            while True:
                try:
                    decode = self._watch.call(self._seconds, replaying.send, sent)
                except StopIteration:
                    return
                sent = yield decode

    def feed(self, event: h.Event, now_ms: int, result: Any = NOT_DECODED) -> bool:
        """Raises ActivationTooLong, and as Core.feed()."""
        if not tracing.is_on():
            return self._watch.call(self._seconds, self._core.feed, event, now_ms, result)
        with self._stretch(event):
            return self._watch.call(self._seconds, self._core.feed, event, now_ms, result)

    @contextmanager
    def _stretch(self, fact: h.Event, *, is_new: bool = True) -> Iterator[None]:
        """A span of what the code does with a fact, unless it did it before."""
        if not tracing.is_on() or not is_new:
            yield
            return
        key, saga_type, began_ns, error = self._core.key, self._core.definition.name, Machine.time_ns(), ""
        try:
            yield
        except Exception as found:
            error = f"{type(found).__module__}.{type(found).__qualname__}"
            raise
        finally:
            cause = fact.signal_received.carried if fact.HasField("signal_received") else None
            attributes = {**attributes_of(key, saga_type), "durable_saga.fact": str(fact.WhichOneof("kind"))}
            tracing.stretch(
                f"saga {saga_type}", self._carried, began_ns, Machine.time_ns(), attributes, cause=cause, error=error
            )  # fmt: skip

    def take(self) -> Output:
        """As Core.take(); a history that grows too long is told in the log, once, as are notes about conditions and orders."""
        if warning := self._core.history.warning():
            log.warning("the history of saga %s is growing: %s", self._core.key.saga, warning, extra=self._about())
        for note in self._core.unwinding.judging.take_notes():
            log.warning("saga %s: %s", self._core.key.saga, note, extra=self._about())
        return self._core.take()

    def _about(self) -> dict[str, Any]:
        return about(self._core.key, self._core.definition.name)

    def discard(self) -> str:
        """Raises nothing. Tells what is wrong with code that goes on all the same, else ""."""
        try:
            place = self._watch.call(DISCARD_SECONDS_MAX, self._core.discard)
        except ActivationTooLong as error:
            self._core.loop.give_up()
            return f"{error.stack}the code went on for {DISCARD_SECONDS_MAX} s after the saga was dropped from memory"
        return f"{place} waits again, whatever exception is raised there" if place else ""
