"""What a worker may say, checked before the journal is asked: commits, releases, what it owns, its greeting.

The fence is the journal's; this keeps out what no history, head or index can hold: numbers that mean nothing, times beyond
every calendar, events that are too large to be read again. It costs some microseconds of each commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import limits
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.limits import status_name
from durable_saga.pb.payloads import (
    ATTRIBUTE_CHARACTERS_MAX,
    ATTRIBUTE_NAME_CHARACTERS_MAX,
    ATTRIBUTES_PER_RUN_MAX,
    PAYLOAD_BYTES_MAX,
    is_large,
    payloads,
)

OPEN = frozenset({h.RUNNING, h.COMPENSATING, h.COMPENSATION_STUCK, h.HELD})
CLOSED = frozenset({h.COMPLETED, h.COMPENSATED, h.FAILED, h.CANCELLED, h.TERMINATED, h.CONTINUED})
HASH_BYTES = 32
EPOCH_MAX = 2**62
_SUB_STATES_TOLD = frozenset({h.SUB_STATE_UNSPECIFIED, h.RETRYING, h.WAITING, h.SLEEPING, h.SETTLING})
_ENDS = frozenset({"saga_ended", "saga_terminated", "stopped_before_start"})


class Rejected(Exception):
    """The commit is no continuation of any history; the message names both sides."""


def check_commit(commit: w.Commit, now_ms: int = 0, size: int = 0) -> bool:
    """Whether its events refer to large values that the journal should hold. `now_ms`: the server's time, 0: any will do.
    `size` of it in bytes, 0: to be found out. Raises Rejected."""
    if not commit.events:
        raise Rejected("the commit holds no events")
    if len(commit.commit_id) != 16 or len(commit.incarnation) != 16:
        raise Rejected("commit_id and incarnation must have 16 bytes each")
    if commit.status not in OPEN and commit.status not in CLOSED:
        raise Rejected(f"the status after the commit is {commit.status}, which this server does not know")
    first, time_ms, refers = commit.events[0].seq, 0, False
    if first < 1:
        raise Rejected(f"the first event has seq {first}; event 0 is written by start")
    _check_bounds(commit, first, size or commit.ByteSize())
    last, is_end = len(commit.events) - 1, commit.status not in OPEN
    for place, event in enumerate(commit.events):
        kind = event.WhichOneof("kind")
        if event.seq != first + place:
            raise Rejected(f"event {event.seq} stands where event {first + place} was expected")
        before_ms, time_ms = time_ms, event.time_ms
        if time_ms < before_ms:
            raise Rejected(f"event {event.seq} is older than the one before it")
        if kind is None or kind == "saga_started":
            raise Rejected(f"event {event.seq} is of kind {kind}, which a worker can't append")
        if kind == "saga_ended" and event.saga_ended.HasField("next") != (event.saga_ended.status == h.CONTINUED):
            raise Rejected(f"event {event.seq}: a CONTINUED run, and only such a run, must say how the next run starts")
        if (kind in _ENDS) != (is_end and place == last):
            raise Rejected(f"event {event.seq} is {kind}, but the status after the commit is {status_name(commit.status)}")
        if kind in _CHECKS:
            _CHECKS[kind](getattr(event, kind), commit)
        refers = refers or bool(event.large_bytes) or (kind in _VALUES and _VALUES[kind](event))
    if time_ms > (now_ms + limits.CLOCK_AHEAD_MS_MAX if now_ms else limits.TIME_MS_MAX):
        raise Rejected(
            f"event {first + last} has the time {time_ms} ms, but this server's time is {now_ms} ms: set the worker's clock"
        )
    return refers


def _check_bounds(commit: w.Commit, first: int, size: int) -> None:
    count = len(commit.events)
    if size > limits.EVENT_BYTES_MAX:  # then one of its events may be too large, payloads that go into chunks apart
        sizes = [event.ByteSize() - _data_bytes(event) for event in commit.events]
        if max(sizes) > limits.EVENT_BYTES_MAX or sum(sizes) > limits.COMMIT_BYTES_TAKEN_MAX:
            raise Rejected(
                f"an event of {max(sizes)} bytes in a commit of {sum(sizes)}; EVENT_BYTES_MAX is {limits.EVENT_BYTES_MAX},"
                f" COMMIT_BYTES_TAKEN_MAX {limits.COMMIT_BYTES_TAKEN_MAX}"
            )
    if count > limits.EVENTS_PER_COMMIT_MAX or first + count > limits.SEQ_MAX:
        raise Rejected(f"{count} events from {first} on are too many: EVENTS_PER_COMMIT_MAX is {limits.EVENTS_PER_COMMIT_MAX}")
    if first == 1:
        _check_build(commit.events[0].build)
    if len(commit.paused) > limits.PAUSED_CHARACTERS_MAX:
        raise Rejected(f"the reason of a pause has {len(commit.paused)} characters")
    _check_common(commit)


def _check_build(build: str) -> None:
    if len(build) > limits.BUILD_CHARACTERS_MAX or not build.isprintable():
        raise Rejected(
            f"a build's name has at most {limits.BUILD_CHARACTERS_MAX} characters that can be printed: {build[:60]!r}"
        )


def build_in(commit: w.Commit) -> str:
    """Of the code with which the run began, as its first commit tells it; empty in any other."""
    return commit.events[0].build if commit.events[0].seq == 1 else ""


def _data_bytes(event: h.Event) -> int:
    return sum(len(payload.data) for payload in payloads(event) if is_large(payload))


def _check_common(said: w.Commit | w.Release) -> None:
    if not 0 < said.epoch < EPOCH_MAX:
        raise Rejected(f"the epoch is {said.epoch}")
    if said.wake_at_ms < 0 or said.wake_in_ms < 0:
        raise Rejected(f"the wake-up time is {said.wake_at_ms} ms, in {said.wake_in_ms} ms")
    if said.HasField("doing"):
        _check_doing(said.doing)
    if said.consumed and (
        len(said.consumed) > limits.CONSUMED_PER_COMMIT_MAX or len(max(said.consumed, key=len)) > limits.ID_CHARACTERS_MAX
    ):
        raise Rejected(
            f"{len(said.consumed)} messages are consumed, more than CONSUMED_PER_COMMIT_MAX ({limits.CONSUMED_PER_COMMIT_MAX})"
        )


def _check_doing(doing: h.Doing) -> None:
    is_named = max(len(doing.name), len(doing.failure_type)) <= limits.ID_CHARACTERS_MAX
    is_in_time = all(0 <= time_ms <= limits.TIME_MS_MAX for time_ms in (doing.next_ms, doing.since_ms))
    if not is_named or not is_in_time or doing.attempt > limits.RUN_NUMBER_MAX or doing.sub_state not in _SUB_STATES_TOLD:
        raise Rejected(f"what the run does is told as {str(doing)[:200]!r}")


def check_release(release: w.Release) -> None:
    """Raises Rejected."""
    if release.status not in OPEN:
        raise Rejected(f"a run that is {status_name(release.status)} can't be released: a commit with its end must end it")
    if len(release.incarnation) != 16 or not 0 < release.next_seq <= limits.SEQ_MAX:
        raise Rejected(f"a release at event {release.next_seq}, of an incarnation of {len(release.incarnation)} bytes")
    if release.retry_after_ms > limits.DURATION_MS_MAX:
        raise Rejected(f"retry_after_ms is {release.retry_after_ms}: at most {limits.DURATION_MS_MAX} are allowed")
    if len(release.saga_type) > limits.ID_CHARACTERS_MAX:
        raise Rejected(f"a saga type of {len(release.saga_type)} characters")
    _check_common(release)


def check_hello(hello: w.Hello) -> None:
    """Raises Rejected."""
    for what, name in (
        ("worker", hello.worker),
        ("namespace", hello.namespace),
        *(("saga type", one) for one in hello.saga_types),
    ):
        if not 1 <= len(name) <= limits.ID_CHARACTERS_MAX or not name.isprintable():
            raise Rejected(
                f"the name of a {what} must have 1 to {limits.ID_CHARACTERS_MAX} characters that can be printed: {name[:80]!r}"
            )
    _check_build(hello.build)
    if len(hello.saga_types) > limits.SAGA_TYPES_PER_WORKER_MAX:
        raise Rejected(
            f"{len(hello.saga_types)} saga types are too many: SAGA_TYPES_PER_WORKER_MAX is {limits.SAGA_TYPES_PER_WORKER_MAX}"
        )


def wake_ms(said: w.Commit | w.Release, now_ms: int) -> int:
    """When the head is to be looked at, by this server's clock; 0: only a message wakes it."""
    return min(now_ms + said.wake_in_ms if said.wake_in_ms else said.wake_at_ms, limits.TIME_MS_MAX)


# --- what some kinds of events hold ---------------------------------------------------------------------------------------


def _ended(body: h.SagaEnded, commit: w.Commit) -> None:
    if body.status != commit.status or body.status == h.TERMINATED:
        raise Rejected(
            f"the run ends as {status_name(body.status)}, but the status after the commit is {status_name(commit.status)}"
        )
    if body.HasField("next"):
        _check_keys(body.next.keys)
        _check_attributes(body.next.attributes)


def _terminated(_: Any, __: w.Commit) -> None:
    raise Rejected("a worker can't terminate a run")


def _stopped(_: Any, __: w.Commit) -> None:
    raise Rejected("a worker has only runs that have begun")


def _declared(body: h.KeyDeclared, _: w.Commit) -> None:
    _check_keys([body.key])


def _attributes_set(body: h.AttributesSet, _: w.Commit) -> None:
    _check_attributes(body.attributes)


def _check_keys(keys: Any) -> None:
    if len(keys) > limits.SEQ_MAX or any(not 1 <= len(key) <= limits.ID_CHARACTERS_MAX for key in keys):
        raise Rejected(f"a correlation key must have 1 to {limits.ID_CHARACTERS_MAX} characters")


def _check_attributes(attributes: Any) -> None:
    if len(attributes) > ATTRIBUTES_PER_RUN_MAX:
        raise Rejected(f"{len(attributes)} search attributes are too many: ATTRIBUTES_PER_RUN_MAX is {ATTRIBUTES_PER_RUN_MAX}")
    for name, text in attributes.items():
        if not (1 <= len(name) <= ATTRIBUTE_NAME_CHARACTERS_MAX and 1 <= len(text) <= ATTRIBUTE_CHARACTERS_MAX):
            raise Rejected(f"search attribute {name[:80]!r} has a text of {len(text)} characters")


_CHECKS: dict[str, Callable[[Any, w.Commit], None]] = {
    "saga_ended": _ended,
    "saga_terminated": _terminated,
    "stopped_before_start": _stopped,
    "key_declared": _declared,
    "attributes_set": _attributes_set,
}


_VALUES: dict[str, Callable[[h.Event], bool]] = {
    "step_scheduled": lambda event: event.step_scheduled.input.size != 0 or event.step_scheduled.defaults.size != 0,
    "step_failed": lambda event: event.step_failed.result.size != 0,
    "step_completed": lambda event: event.step_completed.result.size != 0,
    "signal_received": lambda event: event.signal_received.input.size != 0,
    "compensation_registered": lambda event: (
        event.compensation_registered.input.size != 0 or event.compensation_registered.defaults.size != 0
    ),
    "scope_opened": lambda event: event.scope_opened.input.size != 0,
    "settling_started": lambda event: event.settling_started.result.size != 0,
    "saga_ended": lambda event: event.saga_ended.result.size != 0 or event.saga_ended.next.input.size != 0,
    "state_changed": lambda event: any(one.size for one in event.state_changed.changes.values()),
}
"""Whether an event holds a reference, by its kind: a test holds that no kind with a value is missing."""


# --- large values ---------------------------------------------------------------------------------------------------------


def references(commit: w.Commit) -> list[tuple[bytes, int]]:
    """(hash, size) of what its events refer to, without data: whether the journal holds these is for the journal to tell.
    Raises Rejected."""
    found: list[tuple[bytes, int]] = []
    for event in commit.events:
        for payload in payloads(event):
            if payload.data:
                payload.ClearField("hash")
                payload.ClearField("size")
            elif payload.size or payload.hash:
                if len(payload.hash) != HASH_BYTES or not 0 < payload.size <= PAYLOAD_BYTES_MAX:
                    raise Rejected(
                        f"event {event.seq} refers to a value of {payload.size} bytes by a hash of {len(payload.hash)}"
                    )
                found.append((payload.hash, payload.size))
    return found


def tell_large(commit: w.Commit) -> None:
    """Of each event, the bytes of what is kept in chunks: from the references that stand in it now."""
    for event in commit.events:
        event.large_bytes = sum(payload.size for payload in payloads(event))
