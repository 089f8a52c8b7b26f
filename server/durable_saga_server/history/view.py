"""A history as Describe shows it: a fold over the events, one small function per kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.limits import REASON_CHARACTERS_MAX
from durable_saga.pb.pausing import words
from durable_saga.pb.payloads import EVENTS_PER_RUN_MAX, HISTORY_BYTES_MAX, LARGE_BYTES_PER_RUN_MAX, WARN_AT_SHARE
from durable_saga_server.history.appending import OPEN
from durable_saga_server.history.message_view import MESSAGE_KINDS, Messages
from durable_saga_server.history.pausing import pause_of

_VERBS = {
    h.CompensationDecided.RETRY: "pending",
    h.CompensationDecided.SKIP: "skipped",
    h.CompensationDecided.RESOLVE: "resolved",
}
TELL_SLOW_MS = 60_000
"""An attempt of a step without a time-out that is at work for longer is warned of."""
NEVER_MS = 2**63
DECIDABLE = ("pending", "running", "retrying", "stuck")
"""States of a compensation that an unwind holds and that has no outcome yet."""


def fold(events: Iterable[h.Event], into: c.Description, inbox: Iterable[h.InboxMessage] = (), now_ms: int = 0) -> None:
    """Fill steps, messages (with those that wait in the `inbox`), result, failure, unread, the runs before and after, and
    a warning for one that grows towards a limit, or has a step at work that nothing ends."""
    folding = Folding(into)
    folding.add(events)
    folding.finish(inbox, now_ms)


class Folding:
    """The same in pieces, none of which is kept."""

    def __init__(self, into: c.Description) -> None:
        self._into = into
        self._steps: dict[str, c.StepView] = {}
        self._children: dict[str, str] = {}
        self._messages = Messages(into)
        self._endless: dict[str, int] = {}  # calls of steps that nothing ends: since when this attempt is at work
        self.size = self._large = 0

    def add(self, events: Iterable[h.Event]) -> None:
        for event in events:
            self._add(event)

    def _add(self, event: h.Event) -> None:
        steps, children, into = self._steps, self._children, self._into
        self.size, self._large = self.size + event.ByteSize(), self._large + event.large_bytes
        if event.seq == 1:
            into.version = event.version or 1
        kind = event.WhichOneof("kind")
        body: Any = getattr(event, kind) if kind else None
        if kind in MESSAGE_KINDS:
            self._messages.take(kind, body, event)
        if kind == "saga_ended":
            _ended(body, into)
            self._messages.ended(body)
        elif kind == "saga_started":
            into.previous_run = body.previous_run
            if body.HasField("memo"):
                into.memo.CopyFrom(body.memo)
            into.restarted = words(body.restart.who, body.restart.reason) if body.HasField("restart") else ""
            _pause(into, [body.pause] if body.HasField("pause") else [], event.time_ms)
        elif kind in ("pause_requested", "resume_requested"):
            _pause(into, [body] if kind == "pause_requested" else [], event.time_ms)
        elif kind in _RUN_CHANGES:
            _RUN_CHANGES[kind](into, body)
            if kind in ("unwind_started", "settling_started"):
                _wait_for_their_turn(steps, body, event)
        elif kind in ("step_scheduled", "compensation_registered"):
            steps[body.call] = _new(kind, body, event.time_ms)
            steps[body.call].scope = _child_around(_parent(body.call), children)
            if kind == "step_scheduled" and body.no_timeout:
                self._endless[body.call] = event.time_ms
        elif kind in ("scope_opened", "step_skipped"):
            steps[body.call] = _mark(kind, body, event.time_ms)
            is_child = kind == "scope_opened" and bool(body.saga_type)
            steps[body.call].scope = _child_around(_parent(_parent(body.call) if is_child else body.call), children)
            if is_child:
                children[_parent(body.call)] = body.call
        elif kind in _CHANGES and body.call in steps:
            _CHANGES[kind](steps[body.call], body, event)
            if body.call in self._endless and kind.startswith("step_"):
                self._endless[body.call] = getattr(body, "retry_at_ms", 0) or NEVER_MS

    def finish(self, inbox: Iterable[h.InboxMessage] = (), now_ms: int = 0) -> None:
        """`now_ms` 0: nobody asks how long a step is at work."""
        self._into.steps.extend(self._steps.values())
        self._messages.show(inbox)
        into, size, large = self._into, self.size, self._large
        if into.status in OPEN:
            warnings = (
                _too_large(into.next_seq, size, large),
                _at_work(self._steps, self._endless, now_ms) if into.owner else "",
            )
            into.warning = "; ".join(filter(None, warnings))


def _at_work(steps: Mapping[str, c.StepView], since_ms: Mapping[str, int], now_ms: int) -> str:
    slow = [call for call, since in since_ms.items() if now_ms - since > TELL_SLOW_MS]
    if not slow:
        return ""
    more = f" and {len(slow) - 1} more" if len(slow) > 1 else ""
    seconds = (now_ms - since_ms[slow[0]]) // 1000
    return (
        f"step {steps[slow[0]].name} (call {slow[0]}){more} has been at work for {seconds} s and has no time-out, so nothing"
        " ends it: give it one with @step(timeout=), or give all steps of the worker one with step_timeout="
    )


def _too_large(events: int, size: int, large: int) -> str:
    """From a fifth of a limit on."""
    limits = (
        ("events", events, "EVENTS_PER_RUN_MAX", EVENTS_PER_RUN_MAX),
        ("bytes", size, "HISTORY_BYTES_MAX", HISTORY_BYTES_MAX),
        ("bytes of large values", large, "LARGE_BYTES_PER_RUN_MAX", LARGE_BYTES_PER_RUN_MAX),
    )
    near = [f"{used} {what} ({name} is {limit})" for what, used, name, limit in limits if used * WARN_AT_SHARE > limit]
    if not near:
        return ""
    return (
        f"its history has {' and '.join(near)}, where it is stopped and undone: let the saga continue in a new run with"
        " `await continue_as_new(...)`"
    )


def _parent(call: str) -> str:
    return call.rpartition(".")[0]


def _child_around(path: str, children: dict[str, str]) -> str:
    """The nearest child saga whose task, or a task made by it, has this path. What is in a plain scope is not recorded."""
    while path and path not in children:
        path = _parent(path)
    return children.get(path, "")


def _pause(into: c.Description, asked: Sequence[h.PauseRequested], since_ms: int) -> None:
    del into.pauses[:]
    into.pauses.extend(pause_of(one, since_ms) for one in asked)


def _ended(body: Any, into: c.Description) -> None:
    into.settling = False
    _pause(into, [], 0)
    into.result.CopyFrom(body.result)
    if body.HasField("failure"):
        into.failure.CopyFrom(body.failure)
    into.unread.extend(body.unread)
    if body.HasField("next"):
        into.next_run = into.key.run + 1


def _new(kind: str, body: Any, time_ms: int) -> c.StepView:
    if kind == "compensation_registered":
        return c.StepView(call=body.call, name="on_failure", state="done", compensation=body.name, started_ms=time_ms)
    return c.StepView(
        call=body.call, name=body.name, state="running", attempts=1, compensation=body.compensation, started_ms=time_ms
    )


def _mark(kind: str, body: Any, time_ms: int) -> c.StepView:
    """A scope, a child saga or a skipped step: it stands in the list, with nothing to run."""
    if kind == "step_skipped":
        return c.StepView(call=body.call, name=body.name, state="skipped", started_ms=time_ms, ended_ms=time_ms)
    return c.StepView(
        call=body.call,
        name=f"saga {body.saga_type}" if body.saga_type else f"scope {body.name}",
        state="opened",
        started_ms=time_ms,
    )


def _unwind_started(into: c.Description, body: Any) -> None:
    if not body.call:
        into.failure.CopyFrom(body.failure)
        into.recoverable, into.settling, into.unwinding = False, False, True
        into.from_journal = body.why


def _settling_started(into: c.Description, _: Any) -> None:
    into.settling = True


def _wait_for_their_turn(steps: Mapping[str, c.StepView], body: Any, event: h.Event) -> None:
    for call in body.pending:
        if call in steps and not steps[call].compensation_state:
            steps[call].compensation_state, steps[call].compensation_seq = "pending", event.seq


def _held(into: c.Description, body: Any) -> None:
    into.failure.CopyFrom(body.failure)
    into.recoverable = True


def _recovered(into: c.Description, _: Any) -> None:
    into.ClearField("failure")
    into.recoverable = False


def _state_changed(into: c.Description, body: Any) -> None:
    for key, payload in body.changes.items():
        into.state[key].CopyFrom(payload)


def _pivot_passed(into: c.Description, _: Any) -> None:
    into.past_pivot = True


_RUN_CHANGES: dict[str, Callable[[c.Description, Any], None]] = {
    "unwind_started": _unwind_started,
    "settling_started": _settling_started,
    "saga_held": _held,
    "recover_requested": _recovered,
    "state_changed": _state_changed,
    "pivot_passed": _pivot_passed,
}


def _step(state: str) -> Callable[[c.StepView, Any, h.Event], None]:
    def change(view: c.StepView, body: Any, event: h.Event) -> None:
        view.state = state
        view.attempts = max(view.attempts, getattr(body, "attempt", 0))
        if hasattr(body, "failure"):
            view.last_error = f"{body.failure.type}: {body.failure.message}"[:REASON_CHARACTERS_MAX]
        if state != "retrying":
            view.ended_ms = event.time_ms

    return change


def _compensation(state: str) -> Callable[[c.StepView, Any, h.Event], None]:
    def change(view: c.StepView, body: Any, event: h.Event) -> None:
        view.compensation_state, view.compensation_seq = state, event.seq
        view.compensation_attempts = max(view.compensation_attempts, getattr(body, "attempt", 0))
        if hasattr(body, "failure"):
            view.compensation_error = f"{body.failure.type}: {body.failure.message}"[:REASON_CHARACTERS_MAX]
            view.compensation_failing_ms = view.compensation_failing_ms or event.time_ms
        elif state != "running":
            view.compensation_failing_ms = 0

    return change


def _decided(view: c.StepView, body: Any, event: h.Event) -> None:
    if view.compensation_state in DECIDABLE:
        view.compensation_seq = event.seq
        view.compensation_state = _VERBS.get(body.verb, view.compensation_state)
        if view.compensation_state != "pending":
            view.compensation_failing_ms = 0


_CHANGES: dict[str, Callable[[c.StepView, Any, h.Event], None]] = {
    "step_completed": _step("done"),
    "step_attempt_failed": _step("retrying"),
    "step_failed": _step("failed"),
    "step_cancelled": _step("cancelled"),
    "compensation_scheduled": _compensation("running"),
    "compensation_completed": _compensation("done"),
    "compensation_attempt_failed": _compensation("retrying"),
    "compensation_stuck": _compensation("stuck"),
    "compensation_skipped": _compensation("skipped"),
    "compensation_decided": _decided,
}
