"""What the history of a saga tells after the storm: in short for a person, and whether the storm itself made it be undone.

A step that was cut off INTERRUPTIONS_MAX times is given up as StepInterrupted, by design: its saga is undone though its order
could have been carried out. That is believed only of a history that shows each of these interruptions, and of a storm that had
struck before each.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from durable_saga.pb import history_pb2 as h
from durable_saga.replay.interruptions import INTERRUPTIONS_MAX

INTERRUPTED = "durable_saga.errors.StepInterrupted"


def in_short(events: Sequence[h.Event]) -> str:
    """A line for each event: seconds from the start, kind, call, attempt, what failed."""
    lines = []
    for event in events:
        kind = str(event.WhichOneof("kind"))
        body = getattr(event, kind)
        words = [f"{(event.time_ms - events[0].time_ms) / 1000:8.1f} s", f"{event.seq:3}", kind, getattr(body, "call", "")]
        words.append(getattr(body, "name", ""))
        if attempt := getattr(body, "attempt", 0):
            words.append(f"attempt {attempt}")
        if getattr(body, "interrupted", False):
            words.append("interrupted")
        if failure := getattr(body, "failure", None):
            words.append(f"{failure.type}: {failure.message}" if failure.ByteSize() else "")
        lines.append("  " + " ".join(word for word in words if word))
    return "\n".join(lines)


def was_cut_off(events: Sequence[h.Event], blows: Sequence[tuple[int, int]]) -> bool:
    """It was undone because one step was cut off so often, and a blow (from, to) lay before each time."""
    given_up = [one for one in events if one.step_failed.failure.type == INTERRUPTED]
    unwound = [one for one in events if one.HasField("unwind_started") and not one.unwind_started.call]
    if len(given_up) != 1 or len(unwound) != 1 or unwound[0].unwind_started.failure.type != INTERRUPTED:
        return False
    call = given_up[0].step_failed.call
    begun_ms = next((one.time_ms for one in events if one.step_scheduled.call == call), 0)
    cuts = [one for one in events if one.step_attempt_failed.call == call and one.step_attempt_failed.interrupted]
    times = [begun_ms, *(one.time_ms for one in [*cuts, given_up[0]])]
    struck = [any(begins <= after and ends >= before for begins, ends in blows) for before, after in itertools.pairwise(times)]
    return bool(begun_ms) and len(struck) == INTERRUPTIONS_MAX and all(struck)
