"""What a description of a saga means to a person: what it waits for, its steps as a tree, its bars. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from durable_saga.client.readable import as_json, value_of
from durable_saga.client.status import status_of
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import limits
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb.payloads import is_missing

STEPS_SHOWN_MAX = 500
VALUE_CHARACTERS_MAX = 4_000
FAILURES_SHOWN_MAX = 10
NAMES_SHOWN_MAX = 5
BAR_UNITS = 1_000
"""A timeline is this many units wide."""
_WORKING = ("pending", "running", "retrying")
_UNSETTLED = ("pending", "running", "retrying", "stuck")
_STARTED = "compensation_scheduled"
_SETTLED = ("compensation_completed", "compensation_stuck", "compensation_skipped")
_DECISIONS_THAT_END = (h.CompensationDecided.SKIP, h.CompensationDecided.RESOLVE)


def status_name(status: int) -> str:
    return status_of(status)


def is_open(status: int) -> bool:
    return status_of(status).is_open


def in_words(name: str) -> str:
    return name.replace("_", " ").lower()


def when(ms: int) -> str:
    """UTC; empty for no time."""
    return datetime.fromtimestamp(limits.seconds_of(ms), UTC).strftime("%Y-%m-%d %H:%M:%S") if ms else ""


def iso(ms: int) -> str:
    return datetime.fromtimestamp(limits.seconds_of(ms), UTC).isoformat(timespec="milliseconds")


def lasted(ms: int) -> str:
    """A duration, to two units at most."""
    if ms < 0:
        return ""
    if ms < 1_000:
        return f"{ms} ms"
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


@dataclass(frozen=True, slots=True)
class Text:
    """A value as it is shown: cut at VALUE_CHARACTERS_MAX. One that is `away` was not fetched; `shown` says how large it is."""

    shown: str
    characters: int
    away: bool = False

    @property
    def is_cut(self) -> bool:
        return self.characters > len(self.shown)

    @property
    def is_short(self) -> bool:
        return self.characters <= 120 and "\n" not in self.shown


def text_of(value: Any) -> Text:
    line = as_json(value)
    whole = line if len(line) <= 120 else as_json(value, indent=2)
    return Text(whole[:VALUE_CHARACTERS_MAX], len(whole))


def payload_text(payload: p.Payload) -> Text:
    if is_missing(payload):
        return Text(value_of(payload), payload.size, away=True)
    return text_of(value_of(payload))


def call_text(payload: p.Payload) -> Text:
    """The arguments of a call: msgpack of [args, kwargs]."""
    if is_missing(payload):
        return payload_text(payload)
    value = value_of(payload)
    if isinstance(value, list) and len(value) == 2 and not (value[0] and value[1]):
        return text_of(value[0] or value[1] or [])
    return text_of(value)


def failures(failure: p.Failure) -> list[p.Failure]:
    """It and its causes, outermost first."""
    found = [failure]
    while found[-1].HasField("cause") and len(found) < FAILURES_SHOWN_MAX:
        found.append(found[-1].cause)
    return found


# --- steps -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A step, scope or child saga in the tree of child sagas. `order` is its place among the compensations that were begun, 0:
    not begun. The failures are the last ones, where they are known."""

    step: c.StepView
    depth: int
    order: int
    compensation_state: str
    failure: p.Failure | None = None
    compensation_failure: p.Failure | None = None

    @property
    def name(self) -> str:
        """What it is called where only its compensation counts."""
        return self.step.compensation if self.step.name == "on_failure" else self.step.name

    @property
    def may_retry(self) -> bool:
        return self.step.compensation_state == "stuck"

    @property
    def may_settle(self) -> bool:
        return self.step.compensation_state in _UNSETTLED


def rows_of(one: c.Description, events: Sequence[h.Event] = ()) -> list[Row]:
    """In the order of the calls, what belongs to a child saga behind it. `events` tell where its steps failed, and when they
    began to be undone."""
    inside: dict[str, list[c.StepView]] = {}
    known = {step.call for step in one.steps}
    for step in one.steps:
        inside.setdefault(step.scope if step.scope in known and step.scope != step.call else "", []).append(step)
    first = _first_attempts(events)
    begun = sorted(
        (step for step in one.steps if _is_begun(step)), key=lambda step: first.get(step.call, step.compensation_seq)
    )  # fmt: skip
    order = {step.call: place for place, step in enumerate(begun, 1)}
    failed, undoing_failed = last_failures(events)
    rows: list[Row] = []
    waiting = [(step, 0) for step in reversed(inside.pop("", []))]
    while waiting:
        step, depth = waiting.pop()
        state, failure, undoing = _compensation_state(one, step), failed.get(step.call), undoing_failed.get(step.call)
        rows.append(Row(step, depth, order.get(step.call, 0), state, failure, undoing))
        waiting += [(child, depth + 1) for child in reversed(inside.pop(step.call, []))]
    return rows


def _is_begun(step: c.StepView) -> bool:
    """One that waits for its turn has a place in the history too: that of the unwind's beginning."""
    return bool(step.compensation_seq) and (step.compensation_state != "pending" or step.compensation_attempts > 0)


def _first_attempts(events: Iterable[h.Event]) -> dict[str, int]:
    found: dict[str, int] = {}
    for event in events:
        if event.HasField("compensation_scheduled"):
            found.setdefault(event.compensation_scheduled.call, event.seq)
    return found


def last_failures(events: Iterable[h.Event]) -> tuple[dict[str, p.Failure], dict[str, p.Failure]]:
    """Of steps and of compensations, by call."""
    of_steps: dict[str, p.Failure] = {}
    of_compensations: dict[str, p.Failure] = {}
    for event in events:
        kind = event.WhichOneof("kind")
        body: Any = getattr(event, kind) if kind else None
        if kind in ("step_attempt_failed", "step_failed"):
            of_steps[body.call] = body.failure
        elif kind in ("compensation_attempt_failed", "compensation_stuck"):
            of_compensations[body.call] = body.failure
    return of_steps, of_compensations


def place_of(failure: p.Failure | None) -> str:
    """The user's file and line, as a traceback has them; empty where there is none."""
    return failure.traceback.partition("\n")[0].strip() if failure is not None else ""


def _compensation_state(one: c.Description, step: c.StepView) -> str:
    """Every compensation is seen in a state from its registration on."""
    if not step.compensation or step.compensation_state:
        return step.compensation_state
    return "pending" if is_open(one.status) else "not needed"


def cut(rows: Sequence[Row]) -> list[Row]:
    """STEPS_SHOWN_MAX of them: what is under way or wrong first, then the latest; in their order."""
    if len(rows) <= STEPS_SHOWN_MAX:
        return list(rows)

    def matters(row: Row) -> bool:
        return row.step.state in (*_WORKING, "failed") or row.step.compensation_state in _UNSETTLED

    places = sorted(range(len(rows)), key=lambda place: (not matters(rows[place]), -place))
    return [rows[place] for place in sorted(places[:STEPS_SHOWN_MAX])]


# --- what it waits for ---------------------------------------------------------------------------------------------------


def waits_for(one: c.Description, now_ms: int) -> list[str]:
    """Sentences, empty for one that has ended or is blocked."""
    if not is_open(one.status) or one.blocked:
        return []
    if not one.owner and 0 < one.wake_at_ms <= now_ms:
        return [f"A worker that runs {one.saga_type}. The saga could continue now."]
    found = ["A person, who resumes it: it is paused."] if one.paused else []
    if one.status == h.HELD:
        found.append("A person: the saga failed and is held. Recover it or compensate it.")
    if stuck := [step for step in one.steps if step.compensation_state == "stuck"]:
        found.append(f"A person, who decides about {_names(step.compensation for step in stuck)}.")
    if undoing := [step for step in one.steps if step.compensation_state in ("running", "retrying")]:
        found.append(f"The compensation {_names(_attempt(step.compensation, step.compensation_attempts) for step in undoing)}.")
    if one.settling:
        found.append("The end: the code has finished, and steps in doubt are undone first.")
    if one.status == h.RUNNING and (doing := [step for step in one.steps if step.state in _WORKING]):
        found.append(f"The step {_names(_attempt(step.name, step.attempts) for step in doing)}.")
    if one.wake_at_ms and not found:
        found.append(f"A timer at {when(one.wake_at_ms)} UTC, or a message.")
    if not found and not one.owner:
        found.append("A signal or an event.")
    return found or ["The worker, which is running the saga's code now, or a signal or an event."]


def _attempt(name: str, attempts: int) -> str:
    return f"{name} (attempt {attempts})" if attempts > 1 else name


def _names(names: Iterable[str]) -> str:
    every = list(names)
    shown = ", ".join(every[:NAMES_SHOWN_MAX])
    return f"{shown} and {len(every) - NAMES_SHOWN_MAX} more" if len(every) > NAMES_SHOWN_MAX else shown


# --- timeline -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bar:
    """`x` and `width` are in BAR_UNITS."""

    label: str
    depth: int
    state: str
    x: float
    width: float
    words: str


def compensation_times(events: Iterable[h.Event]) -> dict[str, tuple[int, int]]:
    """From when to when each compensation ran, by its call; 0 for one that goes on."""
    found: dict[str, tuple[int, int]] = {}
    for event in events:
        kind = event.WhichOneof("kind")
        body: Any = getattr(event, kind) if kind else None
        if kind == _STARTED:
            found.setdefault(body.call, (event.time_ms, 0))
        elif kind == "compensation_decided" and body.verb not in _DECISIONS_THAT_END:
            if body.call in found:
                found[body.call] = (found[body.call][0], 0)
        elif kind in (*_SETTLED, "compensation_decided") and body.call in found:
            found[body.call] = (found[body.call][0], event.time_ms)
    return found


def bars_of(one: c.Description, rows: Sequence[Row], undone: Mapping[str, tuple[int, int]], now_ms: int) -> list[Bar]:
    """Steps, then compensations, by when they began; child sagas are as long as what is in them."""
    until = one.ended_ms or max(now_ms, one.updated_ms)
    unit = max(until - one.started_ms, 1) / BAR_UNITS
    inside = _spans(rows)
    bars = []

    def add(label: str, depth: int, state: str, from_ms: int, to_ms: int) -> None:
        end = to_ms or until
        x = min(max((from_ms - one.started_ms) / unit, 0.0), BAR_UNITS - 4.0)
        width = min(max((end - from_ms) / unit, 4.0), BAR_UNITS - x)
        bars.append(Bar(label, depth, state, round(x, 1), round(width, 1), lasted(max(end - from_ms, 0))))

    for row in rows:
        step = row.step
        if step.name == "on_failure" or step.state == "skipped" or (step.state == "opened" and step.call not in inside):
            continue
        add(step.name, row.depth, step.state, step.started_ms, step.ended_ms or inside.get(step.call, 0))
    names = {row.step.call: row for row in rows if row.step.compensation}
    for call, (from_ms, to_ms) in sorted(undone.items(), key=lambda item: item[1][0]):
        if call in names:
            add(names[call].step.compensation, 0, f"undo-{names[call].compensation_state}", from_ms, to_ms)
    return bars


def _spans(rows: Sequence[Row]) -> dict[str, int]:
    """When the last thing in a child saga ended; 0 while one goes on."""
    found: dict[str, int] = {}
    for row in reversed(rows):
        ended = row.step.ended_ms or found.get(row.step.call, 0)
        if row.step.name == "on_failure":
            ended = row.step.started_ms
        if scope := row.step.scope:
            found[scope] = 0 if not ended or found.get(scope) == 0 else max(found.get(scope, 0), ended)
    return found
