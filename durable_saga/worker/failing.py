"""What the log says of what fails: each failed attempt, and each saga whose code failed, with the user's file and line first.

Floods are folded: of what fails in the same way (saga type, step, type of the error, and whether it is final) the first is a
line at once, and then there is one line in FOLD_SECONDS with the count of the others. A line of each is there at level DEBUG.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from durable_saga.definition.definition import place_of
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb.log_fields import about
from durable_saga.replay.commands import RunCompensation, RunStep

log = logging.getLogger(__name__)
FOLD_SECONDS = 60.0
"""So long one line stands for all failures of its kind."""
FOLDED_KINDS_MAX = 1_000
"""Kinds of failures that are counted at once; beyond it the one that began first is said and begins anew."""
FOLDED_SAGAS_MAX = 5
"""So many sagas are named in the line that stands for many."""
FAILING_COMPENSATION_SECONDS_MAX = 300
"""A compensation that has failed for longer is an ERROR in the log."""
LOG_CHARACTERS_MAX = 300
_FRAME = re.compile(r'File "(.*)", line (\d+), in (.*)')
Attempted = RunStep | RunCompensation


class _Kind(NamedTuple):
    saga_type: str
    step: str
    error: str
    is_final: bool


class _Line(NamedTuple):
    level: int
    text: str
    fields: dict[str, Any]

    def say(self, more: str = "") -> None:
        log.log(self.level, "%s%s", self.text, more, extra=self.fields)


@dataclass(slots=True)
class _Folded:
    """What came of one kind since its last line, which was said at `since`."""

    since: float
    last: _Line
    count: int = 0
    sagas: dict[str, None] = field(default_factory=dict)
    others: str = ""

    def add(self, line: _Line) -> None:
        self.count += 1
        self.last = line
        saga = str(line.fields["saga"])
        if saga in self.sagas or len(self.sagas) < FOLDED_SAGAS_MAX:
            self.sagas[saga] = None
        else:
            self.others = " and others"

    def say(self, now: float) -> None:
        if self.count:
            seconds, many = max(now - self.since, 0), "s" if self.count > 1 else ""
            self.last.say(
                f"; {self.count} such failure{many} since the last line {seconds:.0f} s ago, of sagas"
                f" {', '.join(self.sagas)}{self.others}"
            )


class FailureLog:
    """Owned by a worker. `look()` is to be called from time to time, and `close()` at its end: both say what was folded."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kinds: dict[_Kind, _Folded] = {}

    def attempt(self, key: h.RunKey, saga_type: str, effect: Attempted, event: h.Event, now_ms: int) -> None:
        """An attempt failed: where, why, and when the next one is."""
        body = getattr(event, str(event.WhichOneof("kind")))
        name, again_ms = effect.definition.name, getattr(body, "retry_at_ms", 0)
        following = f"it is tried again in {max(again_ms - now_ms, 0) / 1000:.1f} s" if again_ms else "it is not tried again"
        since_ms = effect.failing_since_ms if isinstance(effect, RunCompensation) else 0
        is_long = bool(since_ms) and now_ms - since_ms > FAILING_COMPENSATION_SECONDS_MAX * 1000
        lasting = f", failing for {(now_ms - since_ms) / 1000:.0f} s" if is_long else ""
        level = logging.ERROR if is_long or event.HasField("compensation_stuck") else logging.WARNING
        where = place_in(body.failure) or place_of(effect.definition.function)
        kind = "step" if isinstance(effect, RunStep) else "compensation"
        text = (
            f"{where}: {_words(body.failure)}; saga {key.saga}: {kind} {name} (call {effect.call}) failed in attempt"
            f" {effect.attempt}{lasting}; {following}"
        )
        fields = about(key, saga_type, name, effect.attempt)
        self._said(_Kind(saga_type, f"{kind} {name}", body.failure.type, not again_ms), _Line(level, text, fields))

    def saga(self, key: h.RunKey, saga_type: str, events: Iterable[h.Event]) -> None:
        """What is new of a run, where its status changes: its code failed, perhaps."""
        for event in events:
            if (failure := failure_of_code(event)) is None:
                continue
            level, what = logging.WARNING, "failed, with nothing to undo"
            if event.HasField("saga_held"):
                level, what = logging.ERROR, "is held: it waits for a person"
            elif event.unwind_started.pending:
                what = "failed and is compensated"
            self._code_failed(key, saga_type, failure, level, what)

    def _code_failed(self, key: h.RunKey, saga_type: str, failure: p.Failure, level: int, what: str) -> None:
        where = place_in(failure)
        text = f"{where}: {_words(failure)}" if where else _words(failure)
        line = _Line(level, f"{text}; saga {key.saga} of type {saga_type} {what}", about(key, saga_type))
        self._said(_Kind(saga_type, what, failure.type, True), line)

    def _said(self, kind: _Kind, line: _Line) -> None:
        folded, now = self._kinds.get(kind), self._now()
        if folded is not None and now >= folded.since + FOLD_SECONDS:
            self._renew(kind, folded, now)
            folded = self._kinds.get(kind)
        if folded is None:
            line.say()
            self._kinds[kind] = _Folded(now, line)
            if len(self._kinds) > FOLDED_KINDS_MAX:
                self._kinds.pop(next(iter(self._kinds))).say(now)
            return
        folded.add(line)
        log.debug("%s", line.text, extra=line.fields)

    def look(self) -> None:
        now = self._now()
        for kind, folded in [(kind, one) for kind, one in self._kinds.items() if now >= one.since + FOLD_SECONDS]:
            self._renew(kind, folded, now)

    def _renew(self, kind: _Kind, folded: _Folded, now: float) -> None:
        """Its time is over. What came is said and counted anew; where nothing came, the next one is a line at once."""
        folded.say(now)
        if folded.count:
            self._kinds[kind] = _Folded(now, folded.last)
        else:
            del self._kinds[kind]

    def close(self) -> None:
        kinds, self._kinds, now = self._kinds, {}, self._now()
        for folded in kinds.values():
            folded.say(now)


def failure_of_code(event: h.Event) -> p.Failure | None:
    """Why the code of a saga failed, of the event that says so. One that was cancelled did not fail."""
    if event.HasField("saga_held"):
        return event.saga_held.failure
    if event.HasField("unwind_started") and not event.unwind_started.call and not event.unwind_started.cancelled:
        return event.unwind_started.failure
    return None


def place_in(failure: p.Failure) -> str:
    """The user's file and line where it was raised; of what led to it, where it says none itself; or ""."""
    while True:
        frames = _FRAME.findall(failure.traceback)
        if frames:
            file, line, function = frames[-1]
            return f"{file}:{line} in {function}"
        if not failure.HasField("cause"):
            return ""
        failure = failure.cause


def tell_slow(key: h.RunKey, saga_type: str, effect: Attempted, seconds: float) -> None:
    """A line for an attempt that has been at work for long and has no time-out."""
    is_step = isinstance(effect, RunStep)
    advice = "@step(timeout=), or all steps by step_timeout= of the worker" if is_step else "compensation(timeout=)"
    log.warning(
        "saga %s: %s %s (call %s) has been at work for %.0f s in attempt %s and has no time-out, so nothing ends it: give it"
        " one by %s", key.saga, "step" if is_step else "compensation", effect.definition.name, effect.call, seconds,
        effect.attempt, advice, extra=about(key, saga_type, effect.definition.name, effect.attempt),
    )  # fmt: skip


def _words(failure: p.Failure) -> str:
    return f"{failure.type}: {failure.message.partition(chr(10))[0][:LOG_CHARACTERS_MAX]}"
