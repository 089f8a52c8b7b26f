"""A history in words, one sentence an event. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from durable_saga.client.readable import as_dict
from durable_saga.page.showing import Text, in_words, lasted, text_of, when
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.limits import status_name

_VERBS = {
    h.CompensationDecided.RETRY: "be tried again",
    h.CompensationDecided.SKIP: "be skipped",
    h.CompensationDecided.RESOLVE: "count as done by hand",
}


@dataclass(frozen=True, slots=True)
class Line:
    """`call` is the step's; `tone` one of "", good, bad, undo, person; `trace` the user's frames of what failed, or empty."""

    seq: int
    time: str
    since: str
    kind: str
    call: str
    words: str
    tone: str
    body: Text
    trace: str = ""

    @property
    def place(self) -> str:
        """The user's file and line, where it failed."""
        return self.trace.partition("\n")[0].strip()


def lines_of(events: Sequence[h.Event], before: Sequence[h.Event] = ()) -> list[Line]:
    """`before` are events that stand before these: a result is told with the name of its step."""
    names = {event.step_scheduled.call: event.step_scheduled.name for event in (*before, *events) if _is_step(event)}
    found, last_ms = [], before[-1].time_ms if before else 0
    for event in events:
        found.append(_line(event, names, last_ms))
        last_ms = event.time_ms
    return found


def _is_step(event: h.Event) -> bool:
    return bool(event.WhichOneof("kind") == "step_scheduled")


def _line(event: h.Event, names: Mapping[str, str], last_ms: int) -> Line:
    kind = event.WhichOneof("kind")
    since = f"+{lasted(event.time_ms - last_ms)}" if last_ms else ""
    if kind is None:
        words = "an event of a kind that this version does not know: upgrade the page"
        return Line(event.seq, when(event.time_ms), since, "unknown", "", words, "bad", Text("", 0))
    body: Any = getattr(event, kind)
    call = str(getattr(body, "call", ""))
    name = str(getattr(body, "name", "")) or names.get(call, "")
    say = _WORDS.get(kind)
    words = say(body, name) if say is not None else f"{in_words(kind)} {name}"
    trace = body.failure.traceback if getattr(body, "failure", None) is not None else ""
    shown = text_of(as_dict(body))
    return Line(event.seq, when(event.time_ms), since, in_words(kind), call, words, _TONES.get(kind, ""), shown, trace)


def _failed(body: Any) -> str:
    return f"{body.failure.type}: {body.failure.message}"


def _by(body: Any, what: str) -> str:
    return f"{body.who or 'somebody'} {what}" + (f": {body.reason}" if body.reason else "")


def _again(body: Any) -> str:
    return f"; again at {when(body.retry_at_ms)}" if body.retry_at_ms else ""


def _ended(body: Any, _: str) -> str:
    unread = f", with {len(body.unread)} messages unread" if body.unread else ""
    return f"ended: {in_words(status_name(body.status))}{unread}" + (f"; {_failed(body)}" if body.HasField("failure") else "")


def _started(body: Any, _: str) -> str:
    again = _by(body.restart, "restarted the saga") if body.HasField("restart") else ""
    return f"{body.saga_type} started" + (f": {again}" if again else "")


def _unwind(body: Any, _: str) -> str:
    what = f"of call {body.call} begins" if body.call else "begins"
    reason = "cancelled" if body.cancelled else _failed(body) if body.failure.type else ""
    return f"the unwind {what}" + (f": {reason}" if reason else "")


def _decided(body: Any, _: str) -> str:
    verb = _VERBS.get(body.verb, "be decided in a way that this version does not know")
    return f"{body.who or 'somebody'} decided that the compensation of call {body.call} is to {verb}" + (
        f": {body.note}" if body.note else ""
    )


def _opened(body: Any, name: str) -> str:
    return f"the child saga {body.saga_type} begins" if body.saga_type else f"the scope {name} is opened"


_WORDS: dict[str, Callable[[Any, str], str]] = {
    "saga_started": _started,
    "step_scheduled": lambda body, name: f"{name} begins" + (f", undone by {body.compensation}" if body.compensation else ""),
    "step_completed": lambda body, name: f"{name} completed" + (f" in attempt {body.attempt}" if body.attempt > 1 else ""),
    "step_attempt_failed": lambda body, name: f"{name} failed in attempt {body.attempt}: {_failed(body)}{_again(body)}",
    "step_failed": lambda body, name: f"{name} failed for good in attempt {body.attempt}: {_failed(body)}",
    "step_cancelled": lambda body, name: f"{name} was cancelled" + (" before it began" if body.never_started else ""),
    "step_skipped": lambda body, name: f"{name} was skipped: {body.reason}",
    "timer_fired": lambda body, _: f"a timer fired that was due at {when(body.due_ms)}",
    "signal_received": lambda body, name: f"the message {name} came",
    "cancel_requested": lambda body, _: _by(body, "asked to cancel the saga"),
    "compensate_requested": lambda body, _: _by(body, "asked to compensate the saga"),
    "recover_requested": lambda body, _: _by(body, "recovered the saga"),
    "pause_requested": lambda body, _: _by(body, "paused the saga" + (" and its clocks" if body.stop_clocks else "")),
    "resume_requested": lambda body, _: _by(body, "resumed the saga"),
    "stopped_before_start": lambda body, _: _by(body, "stopped the saga before it began"),
    "retry_requested": lambda body, _: _by(body, "ended the back-off of what waited"),
    "saga_terminated": lambda body, _: _by(body, "terminated the saga"),
    "saga_timed_out": lambda body, _: "the saga took longer than its time-out",
    "compensation_registered": lambda body, name: f"{name} was registered as an undo",
    "unwind_started": _unwind,
    "compensation_scheduled": lambda body, name: f"{name} begins, to undo call {body.call}",
    "compensation_completed": lambda body, _: f"call {body.call} was undone",
    "compensation_attempt_failed": lambda body, _: (
        f"undoing call {body.call} failed in attempt {body.attempt}: {_failed(body)}{_again(body)}"
    ),
    "compensation_stuck": lambda body, _: f"undoing call {body.call} is stuck after attempt {body.attempt}: {_failed(body)}",
    "compensation_decided": _decided,
    "compensation_skipped": lambda body, _: f"call {body.call} was not undone: {body.reason}",
    "saga_ended": _ended,
    "state_changed": lambda body, _: f"the state changed: {', '.join(sorted(body.changes))}",
    "scope_opened": _opened,
    "attributes_set": lambda body, _: (
        f"listings find it by {', '.join(f'{name}={value}' for name, value in sorted(body.attributes.items()))}"
    ),
    "pivot_passed": lambda body, _: "the saga passed its pivot and can only go forward now",
    "saga_held": lambda body, _: f"held: {_failed(body)}",
    "settling_started": lambda body, _: (
        f"the code has finished; {len(body.pending)} calls whose outcome is in doubt are undone before the end"
    ),
    "signal_rejected": lambda body, _: f"the message {body.name} was rejected: {_failed(body)}",
    "key_declared": lambda body, _: f"events for the key {body.key} reach the saga from now on",
}
_TONES = {
    "step_completed": "good", "compensation_completed": "undo", "compensation_scheduled": "undo", "unwind_started": "undo",
    "step_attempt_failed": "bad", "step_failed": "bad", "compensation_attempt_failed": "bad", "compensation_stuck": "bad",
    "settling_started": "undo", "signal_rejected": "bad",
    "saga_held": "bad", "saga_timed_out": "bad", "signal_received": "person", "cancel_requested": "person",
    "compensate_requested": "person", "recover_requested": "person", "saga_terminated": "person",
    "stopped_before_start": "person",    "compensation_decided": "person", "step_cancelled": "bad",
}  # fmt: skip
