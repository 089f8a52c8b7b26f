"""A run in all detail, its events, and who a client is: plain data, made of what the server tells.

Never raises on what a journal holds: a value that can't be read is the sentence that says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from durable_saga.client.overview import Message, message_of, time_of
from durable_saga.client.readable import value_of
from durable_saga.client.status import Status, status_of
from durable_saga.failure_info import FailureInfo
from durable_saga.failures.remade import failure_info
from durable_saga.pb import access_pb2 as a
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p


@dataclass(frozen=True, slots=True)
class DescribedStep:
    """A step and its compensation. Commands for compensations take `call`. `state` is pending, running, retrying, done,
    failed, cancelled or skipped; for a scope or a child saga it is opened. `compensation` is a name, or "" if there is none.
    `compensation_state` is "", pending, running, retrying, done, skipped, resolved or stuck. `compensation_seq` is the number
    of the event that changed it last, which gives the order of the unwind. `scope` is the call of the scope or child saga
    around the step, or "" for the saga itself. Times are UTC."""

    call: str
    name: str
    state: str
    attempts: int = 0
    last_error: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    scope: str = ""
    compensation: str = ""
    compensation_state: str = ""
    compensation_attempts: int = 0
    compensation_error: str = ""
    compensation_seq: int = 0
    compensation_failing_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """Everything about a run; `Overview` is the summary. `owner` is the worker that has the run now, or ""; `epoch` counts
    the owners, `next_seq` the events. `wake_at` is the next timer. `blocked` says why no worker can continue the run,
    `damaged` what of the history can't be read, and `warning` that the history is growing towards a limit, or that a step
    without a time-out has been running for more than a minute. `from_journal` says that the run is undone, or was, from its
    journal alone, and what was wrong with its code. Each is "" if it does not apply. `unread` are names of
    messages that the run did not take. `previous_run` and `next_run` are 0 if there is none. `result` is what the saga
    returned, as plain data; `Handle.result()` gives it as its type. `paused` says by whom and why nothing begins, of this
    saga or of all of its type. Times are UTC."""

    id: str
    run: int
    saga_type: str
    status: Status
    owner: str = ""
    epoch: int = 0
    next_seq: int = 0
    started_at: datetime | None = None
    updated_at: datetime | None = None
    ended_at: datetime | None = None
    wake_at: datetime | None = None
    blocked: str = ""
    from_journal: str = ""
    damaged: str = ""
    warning: str = ""
    result: Any = None
    failure: FailureInfo | None = None
    steps: list[DescribedStep] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    messages_left_out: int = 0
    unread: list[str] = field(default_factory=list)
    past_pivot: bool = False
    recoverable: bool = False
    settling: bool = False
    """Its code is done; what is in doubt is undone before it ends."""
    unwinding: bool = False
    """The saga as a whole unwinds, or did."""
    previous_run: int = 0
    next_run: int = 0
    restarted: str = ""
    """By whom and why it was begun again after the run before it had ended."""
    version: int = 0
    """Of its code, at which it began, 0: it has not begun."""
    paused: str = ""
    starts_at: datetime | None = None
    """It has not begun, and will then."""
    memo: dict[str, Any] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        return self.status.is_open


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """One event of a run. `kind` is its name: `step_completed`, `signal_received`, `saga_ended`, … `details` holds its
    contents by name: your values as plain data, a failure as FailureInfo, a status as Status, times as datetime (UTC). Empty
    values are left out."""

    seq: int
    at: datetime | None
    kind: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rights:
    """What somebody may do: `roles` in `namespaces`, and as a worker for `saga_types`. A `*` at the end of a name stands for
    anything."""

    roles: list[str]
    namespaces: list[str]
    saga_types: list[str]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client is to its server. `name` is empty if the server asks for no identity. `kind` is certificate, jwt or token.
    `expires_at` is None if the identity does not expire."""

    name: str
    kind: str
    rights: list[Rights]
    expires_at: datetime | None


def description_of(one: c.Description) -> Description:
    return Description(
        id=one.key.saga,
        run=one.key.run,
        saga_type=one.saga_type,
        status=status_of(one.status),
        owner=one.owner,
        epoch=one.epoch,
        next_seq=one.next_seq,
        started_at=time_of(one.started_ms),
        updated_at=time_of(one.updated_ms),
        ended_at=time_of(one.ended_ms),
        wake_at=time_of(one.wake_at_ms),
        blocked=one.blocked,
        from_journal=one.from_journal,
        damaged=one.damaged,
        warning=one.warning,
        result=value_of(one.result),
        failure=failure_info(one.failure) if one.HasField("failure") and one.status != h.COMPLETED else None,
        steps=[_step(view) for view in one.steps],
        state={key: value_of(payload) for key, payload in sorted(one.state.items())},
        attributes=dict(one.attributes),
        messages=[message_of(view) for view in one.messages],
        messages_left_out=one.messages_left_out,
        unread=list(one.unread),
        past_pivot=one.past_pivot,
        recoverable=one.recoverable,
        settling=one.settling,
        unwinding=one.unwinding,
        previous_run=one.previous_run,
        next_run=one.next_run,
        restarted=one.restarted,
        version=one.version,
        paused=one.paused,
        starts_at=time_of(one.starts_ms),
        memo=_memo(one),
    )


def _memo(one: c.Description) -> dict[str, Any]:
    if not one.HasField("memo"):
        return {}
    value = value_of(one.memo)
    return value if isinstance(value, dict) else {"": value}


def _step(view: c.StepView) -> DescribedStep:
    return DescribedStep(
        call=view.call,
        name=view.name,
        state=view.state,
        attempts=view.attempts,
        last_error=view.last_error,
        started_at=time_of(view.started_ms),
        ended_at=time_of(view.ended_ms),
        scope=view.scope,
        compensation=view.compensation,
        compensation_state=view.compensation_state,
        compensation_attempts=view.compensation_attempts,
        compensation_error=view.compensation_error,
        compensation_seq=view.compensation_seq,
        compensation_failing_since=time_of(view.compensation_failing_ms),
    )


def identity_of(known: a.Identity) -> Identity:
    rights = [Rights(list(one.roles), list(one.namespaces), list(one.saga_types)) for one in known.rights]
    return Identity(known.name, known.kind, rights, time_of(known.expires_ms))


def event_of(event: h.Event) -> HistoryEvent:
    kind = event.WhichOneof("kind")  # None: an event of a newer version
    details = _details(getattr(event, kind)) if kind is not None else {}
    if event.version:
        details["version"] = event.version
    return HistoryEvent(event.seq, time_of(event.time_ms), str(kind or "unknown"), details)


_TIMES = {"retry_at_ms": "retry_at", "due_ms": "due_at"}


def _details(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field_, value in message.ListFields():
        name = field_.name
        if name in _TIMES:
            found[_TIMES[name]] = time_of(value)
        elif field_.enum_type is not None:
            known = field_.enum_type.values_by_number.get(value)
            is_status = field_.enum_type.name == "Status"
            found[name] = status_of(value) if is_status else known.name.lower() if known is not None else str(value)
        elif isinstance(value, Mapping):
            found[name] = {key: _plain(one) for key, one in sorted(value.items())}
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
            found[name] = [_plain(one) for one in value]
        else:
            found[name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, p.Payload):
        return value_of(value)
    if isinstance(value, p.Failure):
        return failure_info(value)
    if isinstance(value, bytes):
        return value.hex()
    return _details(value) if hasattr(value, "ListFields") else value
