"""The oracle's last look, when everything has come to rest: what each run owes to its promises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Run

from durable_saga import codec
from durable_saga.pb import history_pb2 as h
from tests.laws.doubt import unsettled
from tests.simulation import careless, deployed, sagas
from tests.simulation.oracle import Record, chain_of

if TYPE_CHECKING:
    from tests.simulation.world import World

INTERRUPTED = "StepInterrupted"
DELIVERY_US_MAX = 240_000_000
"""A message that was durable this long before the end of its saga must have reached it."""


def check(world: World) -> None:
    """Tell the oracle what is broken."""
    for run, record in world.oracle.records.items():
        for promise, words in _of_run(world, run, record):
            world.oracle.broken(promise, f"{run.saga}: {words}")
    for words in _left_behind(world):
        world.oracle.broken("G7", words)


def is_at_rest(world: World, run: Run, record: Record) -> bool:
    """It ended, or it waits for an operator, as its compensation asks for."""
    if record.head is None or record.head.status not in OPEN:
        return True
    return record.head.status == h.COMPENSATION_STUCK and run.saga in world.plan.may_stick and not record.head.owner


def _of_run(world: World, run: Run, record: Record) -> Iterator[tuple[str, str]]:
    head = record.head
    if head is None:
        return
    if not is_at_rest(world, run, record):
        yield from _unrecorded(world, run, record)
        yield (
            "G7",
            f"it has not come to rest: {h.Status.Name(head.status)}, owner {head.owner!r}, {head.blocked or 'not blocked'}",
        )
        return
    yield from _messages(world, run, record)
    yield from _attempts(world, run, record)
    yield from _undone(world, run, record)
    yield from _laws(record)


def _unrecorded(world: World, run: Run, record: Record) -> Iterator[tuple[str, str]]:
    """What keeps a run that has its worker from coming to rest: an attempt whose end is not in the history."""
    assert record.head is not None, "it was looked at"
    for call, step in record.steps.items():
        account = world.services.of_call(run, record.head.incarnation, call)
        has_ended = any(record.of_call(kind, call) for kind in ("step_completed", "step_failed", "step_cancelled"))
        if record.head.owner and account is not None and account.calls and not has_ended:
            yield "L1", f"step {call} ({step.name}) was attempted, and its outcome is in no history"


def _messages(world: World, run: Run, record: Record) -> Iterator[tuple[str, str]]:
    chain = chain_of(world.oracle.records, run)
    ended_us = chain[-1].ended_us
    for message_id in record.acknowledged:
        taken = any(message_id in one.messages or message_id in one.unread for one in chain)
        put_us = min(one.put_us[message_id] for one in chain if message_id in one.put_us)
        late = ended_us and put_us > ended_us - DELIVERY_US_MAX
        if not taken and not late:
            yield "G6", f"message {message_id} was acknowledged and never reached it"


def _attempts(world: World, run: Run, record: Record) -> Iterator[tuple[str, str]]:
    if record.head is not None and record.head.status == h.TERMINATED:
        return
    incarnation = record.head.incarnation if record.head is not None else b""
    for call, step in record.steps.items():
        account = world.services.of_call(run, incarnation, call)
        completed, failed = record.of_call("step_completed", call), record.of_call("step_failed", call)
        if completed is None and failed is None and record.of_call("step_cancelled", call) is None:
            yield "G4", f"step {call} has no outcome in the history"
        if account is None:
            proven = failed is not None and (failed.failure.not_applied or failed.failure.type.endswith(INTERRUPTED))
            if completed is not None or (failed is not None and not proven):
                yield "G4", f"step {call} ({step.name}) has an outcome and was never attempted"
        elif completed is not None and codec.decode(completed.result.data, str, where="result") not in account.answers:
            yield "G2", f"the result of step {call} is none that the service gave"
        cut_off = failed is not None and failed.failure.type.endswith(INTERRUPTED) and not step.at_most_once
        if cut_off and (account is None or not account.died_in):
            yield "L3", f"step {call} ({step.name}) was cut off for good, and it never ended a process"
    for call in record.kinds.get("compensation_completed", {}):
        account = world.services.of_call(run, incarnation, call, undo=True)
        if account is None or not account.answers:
            yield "G5", f"the compensation of {call} is recorded as done and the service knows nothing of it"


def _undone(world: World, run: Run, record: Record) -> Iterator[tuple[str, str]]:
    """Every intent not proven unexecuted is undone before the saga ends as undone."""
    if record.head is None or record.head.status not in (h.COMPENSATED, h.CANCELLED, h.FAILED):
        return
    for call, name in record.undo_names.items():
        cancelled, failed = record.of_call("step_cancelled", call), record.of_call("step_failed", call)
        proven = (cancelled is not None and cancelled.never_started) or (failed is not None and failed.failure.not_applied)
        settled = record.of_call("compensation_completed", call) or record.of_call("compensation_decided", call)
        skipped = name == sagas.CONDITIONAL and record.of_call("compensation_skipped", call) is not None
        if not (proven or settled or skipped):
            yield "G5", f"it ended as {h.Status.Name(record.head.status)} and the call {call} ({name}) was not undone"
        account = world.services.of_call(run, record.head.incarnation, call)
        if proven and account is not None and account.done:
            yield "G5", f"call {call} ({name}) is recorded as not executed, and it was"


def _laws(record: Record) -> Iterator[tuple[str, str]]:
    events = [h.Event.FromString(one) for one in record.events]
    for call in unsettled(events):
        yield "L2", f"it ended, and call {call} is in doubt and was not settled"
    yield from careless.broken_laws(events)
    yield from deployed.broken(events)


def _left_behind(world: World) -> Iterator[str]:
    """What a server or worker still believes to have."""
    for server in world.servers.values():
        for session in server.service.sessions:
            if session.owned or session.reserved:
                owned = [run.saga for run in session.owned]
                yield f"{server.name} believes that {session.name} has {owned} ({session.reserved} reserved); all is at rest"
    if world.plan.retention_seconds:
        kept = [run.saga for run, head in world.memory.tables.heads.items() if head.status not in OPEN]
        kept += [run.saga for run in world.memory.tables.events if run not in world.memory.tables.heads]
        if kept:
            yield f"{kept} are kept after their retention"
    for worker in world.workers.values():
        if worker.worker._runs:
            yield f"{worker.name} still has {[saga for _, saga, _ in worker.worker._runs]} in memory; all is at rest"
