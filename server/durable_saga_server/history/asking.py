"""Whether a cancel or a compensate would have an effect on a run. Pure."""

from __future__ import annotations

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h


def why_without_effect(one: c.Description) -> str:
    """A sentence for who asks an open run to unwind; empty: it has an effect, now or when the run can go on."""
    saga = f"saga {one.key.saga!r}"
    if one.past_pivot:
        return f"{saga} is past its pivot: it can only go forward, and what it did before can't be compensated"
    if one.settling:
        return f"{saga} has done its work: steps in doubt are being undone, and then it ends with its result"
    if not one.unwinding:
        return ""
    if one.status == h.COMPENSATION_STUCK:
        stuck = next((step for step in one.steps if step.compensation_state == "stuck"), c.StepView())
        which = f"{stuck.compensation} (call {stuck.call})"
        return f"{saga} is already being undone, and is stuck at {which}: retry, skip or resolve that compensation"
    return f"{saga} is already being undone, and ends when that is done"
