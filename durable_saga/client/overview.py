"""How a saga stands, in the words of a saga: made from what the server describes, or from a history in a test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from durable_saga.client.readable import value_of
from durable_saga.client.status import Status, status_of
from durable_saga.client.sub_states import TROUBLE_MAX, word_of
from durable_saga.errors import render_failure
from durable_saga.failure_info import FailureInfo
from durable_saga.failures.remade import failure_info
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.limits import seconds_of
from durable_saga.pb.pausing import words

_WORKING = ("pending", "running", "retrying")
_UNDONE = ("done", "resolved")


@dataclass(frozen=True, slots=True)
class Message:
    """What was sent to a saga. `kind`: signal, cancel, compensate, recover, decision, pause or resume; `state`: waiting, taken,
    unread or rejected, with the `error` of its handler. `call`: of the compensation that a decision is for."""

    id: str
    kind: str
    state: str
    name: str
    received_at: datetime | None
    who: str = ""
    reason: str = ""
    error: str = ""
    call: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What an open saga waits for. `kind` is `step` or `compensation` (the attempts of the one with this `name`), `time` (the
    moment `until`, or a message), `message` (a signal or an event, whose name only the saga's code knows) or `person`
    (somebody who recovers or compensates the saga, or decides about the compensation `name`)."""

    kind: Literal["step", "compensation", "time", "message", "person"]
    name: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of a saga as plain data, which `dataclasses.asdict()`, pydantic and FastAPI accept as it is. Steps are named
    in the order in which they began. `attempts` counts those of the current step, or of the last one if none is running.
    Times are UTC, and None if there is none. `error` and `failure` hold tracebacks: they are for the team that runs the saga,
    not for customers."""

    id: str
    saga_type: str
    status: Status
    current_step: str | None = None
    completed_steps: list[str] = field(default_factory=list)
    compensated_steps: list[str] = field(default_factory=list)
    """In the order in which they were undone."""
    skipped_steps: list[str] = field(default_factory=list)
    stuck_steps: dict[str, str] = field(default_factory=dict)
    """Names of steps whose compensation needs an operator, with the call to name in the operator's verbs. A name that stands
    for several calls here has the call behind it: `charge (call 2)`."""
    state: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    failure: FailureInfo | None = None
    attempts: int = 0
    started_at: datetime | None = None
    updated_at: datetime | None = None
    ended_at: datetime | None = None
    past_pivot: bool = False
    blocked: str = ""
    from_journal: str = ""
    """It is undone, or was, from its journal, without its code: what was wrong with that. Empty: its code was fine."""
    settling: bool = False
    """Its code is done; what is in doubt is undone before it ends."""
    current_steps: list[str] = field(default_factory=list)
    """All that are at work; `current_step` is the first."""
    messages: list[Message] = field(default_factory=list)
    """Those that wait, those that were not read, and those that were rejected; while it is open also those that it took."""
    run: int = 1
    attributes: dict[str, str] = field(default_factory=dict)
    """Its search attributes."""
    waiting_for: list[Waiting] = field(default_factory=list)
    """As far as the journal tells; empty while its code runs, when it is blocked, and when it has ended."""
    paused: str = ""
    """By whom and why nothing of it begins, by itself or by its type."""

    @property
    def is_open(self) -> bool:
        return self.status.is_open

    def can_recover(self) -> bool:
        """Whether `recover` would let the saga continue: it failed and is held."""
        return self.status is Status.HELD

    def can_compensate(self) -> bool:
        """Whether `compensate` would undo the saga."""
        return self.status in (Status.RUNNING, Status.HELD) and not self.past_pivot and not self.settling


def overview_of(one: c.Description) -> Overview:
    real = [step for step in one.steps if step.state not in ("opened", "skipped") and step.name != "on_failure"]
    working = [step for step in real if step.state in _WORKING]
    failure = failure_info(one.failure) if one.HasField("failure") and one.status != h.COMPLETED else None
    last = working or real
    undone = sorted((step for step in one.steps if step.compensation_state in _UNDONE), key=lambda one: one.compensation_seq)
    return Overview(
        id=one.key.saga,
        saga_type=one.saga_type,
        status=status_of(one.status),
        current_step=working[0].name if working and one.status == h.RUNNING else None,
        completed_steps=[step.name for step in real if step.state == "done"],
        compensated_steps=[_undone(step) for step in undone],
        skipped_steps=[step.name for step in one.steps if step.state == "skipped"],
        stuck_steps=_by_name(step for step in one.steps if step.compensation_state == "stuck"),
        state={key: value_of(payload) for key, payload in sorted(one.state.items())},
        error=render_failure(failure) if failure is not None else None,
        failure=failure,
        attempts=last[-1].attempts if last else 0,
        started_at=time_of(one.started_ms),
        updated_at=time_of(one.updated_ms),
        ended_at=time_of(one.ended_ms),
        past_pivot=one.past_pivot,
        blocked=one.blocked,
        from_journal=one.from_journal,
        settling=one.settling,
        current_steps=[step.name for step in working] if one.status == h.RUNNING else [],
        messages=[message_of(view) for view in one.messages],
        run=one.key.run,
        attributes=dict(one.attributes),
        waiting_for=_waiting_for(one, working) if status_of(one.status).is_open and not one.blocked else [],
        paused=one.paused,
    )


def _waiting_for(one: c.Description, working: Iterable[c.StepView]) -> list[Waiting]:
    found = [Waiting("person")] if one.status == h.HELD else []
    for step in one.steps:
        if step.compensation_state == "stuck":
            found.append(Waiting("person", step.compensation))
        elif step.compensation_state in ("running", "retrying"):
            found.append(Waiting("compensation", step.compensation))
    if one.status == h.RUNNING:
        found += [Waiting("step", step.name) for step in working]
    if one.wake_at_ms > one.updated_ms:
        found.append(Waiting("time", until=time_of(one.wake_at_ms)))
    elif not found and one.status == h.RUNNING and not one.owner and not one.wake_at_ms:
        found.append(Waiting("message"))
    return found


def _by_name(steps: Iterable[c.StepView]) -> dict[str, str]:
    """Each call, by the name of its step, or by name and call where several have that name."""
    every = list(steps)
    counts = Counter(_undone(step) for step in every)
    return {_undone(step) if counts[_undone(step)] == 1 else f"{_undone(step)} (call {step.call})": step.call for step in every}


def message_of(view: c.MessageView) -> Message:
    failure = view.failure if view.HasField("failure") else None
    return Message(
        view.message_id, view.kind, view.state, view.name, time_of(view.received_ms), view.who, view.reason,
        f"{failure.type}: {failure.message}" if failure is not None else "", view.call,
    )  # fmt: skip


def _undone(step: c.StepView) -> str:
    return step.compensation if step.name == "on_failure" else step.name


def time_of(ms: int) -> datetime | None:
    """UTC; None for no time."""
    return datetime.fromtimestamp(seconds_of(ms), UTC) if ms else None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Open sagas of a type that may need a person, for one reason: the `state` they are in, the `step` or compensation, and
    the type of its last failure, as a listing has them. `at_least`: there are more than were counted."""

    saga_type: str
    state: str
    step: str
    failure_type: str
    count: int
    at_least: bool = False


def trouble_of(reply: c.StatisticsReply) -> list[Trouble]:
    """The largest groups first."""
    found = [
        Trouble(one.saga_type, word_of(one.sub_state), one.name, one.failure_type, one.count, reply.at_least)
        for one in reply.standings
        if one.sub_state <= TROUBLE_MAX
    ]
    return sorted(found, key=lambda one: (-one.count, one.saga_type, one.state, one.step))


def _by_state(reply: c.StatisticsReply) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for one in reply.standings:
        found.setdefault(one.saga_type, Counter())[word_of(one.sub_state)] += one.count
    return {saga_type: dict(counted) for saga_type, counted in found.items()}


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts of sagas by `Status`, over all types and for each type; a status without sagas is missing. `active` is running
    plus compensating. Open sagas, and the blocked ones among them, are counted by build too; "" is for those whose build is
    not known. `paused` counts the open sagas of each type that are paused themselves; `paused_types` says of each type that is
    paused as a whole by whom and why."""

    by_status: dict[str, int]
    by_type: dict[str, dict[str, int]]
    blocked_by_type: dict[str, int] = field(default_factory=dict)
    open_by_build: dict[str, int] = field(default_factory=dict)
    blocked_by_build: dict[str, int] = field(default_factory=dict)
    paused: dict[str, int] = field(default_factory=dict)
    paused_types: dict[str, str] = field(default_factory=dict)
    by_state: dict[str, dict[str, int]] = field(default_factory=dict)
    """What the open sagas of each type do, as `Listed.state` has it; those that are simply at work are not in it."""
    at_least: bool = False
    """There are more in `by_state` than were counted."""

    @classmethod
    def of(cls, reply: c.StatisticsReply) -> Statistics:
        total: Counter[str] = Counter()
        by_type: dict[str, Counter[str]] = {}
        blocked, of_build, blocked_of_build = Counter[str](), Counter[str](), Counter[str]()
        paused: Counter[str] = Counter()
        for one in reply.tallies:
            status = status_of(one.status)
            total[status] += one.count
            by_type.setdefault(one.saga_type, Counter())[status] += one.count
            if status.is_open:
                of_build[one.build] += one.count
            if one.blocked:
                blocked[one.saga_type] += one.count
                blocked_of_build[one.build] += one.count
            if one.paused:
                paused[one.saga_type] += one.count
        types = {saga_type: dict(counted) for saga_type, counted in by_type.items()}
        of_types = {one.saga_type: words(one.who, one.reason) for one in reply.paused_types}
        return cls(
            dict(total),
            types,
            dict(blocked),
            dict(of_build),
            dict(blocked_of_build),
            dict(paused),
            of_types,
            _by_state(reply),
            reply.at_least,
        )

    def count(self, *statuses: Status) -> int:
        """How many sagas are in one of these statuses."""
        return sum(self.by_status.get(status, 0) for status in statuses)

    @property
    def active(self) -> int:
        return self.count(Status.RUNNING, Status.COMPENSATING)

    @property
    def blocked(self) -> int:
        """Of the open ones, those that no connected worker can continue."""
        return sum(self.blocked_by_type.values())

    @property
    def completed(self) -> int:
        return self.count(Status.COMPLETED)

    @property
    def failed(self) -> int:
        """Sagas that ended as failed, with nothing to undo."""
        return self.count(Status.FAILED)

    @property
    def compensating(self) -> int:
        return self.count(Status.COMPENSATING)

    @property
    def compensated(self) -> int:
        return self.count(Status.COMPENSATED)

    @property
    def stuck(self) -> int:
        return self.count(Status.COMPENSATION_STUCK)

    @property
    def held(self) -> int:
        return self.count(Status.HELD)
