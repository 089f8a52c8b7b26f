"""What a worker finds when it takes over a run whose owner died: attempts that were cut off, or may have been.

Each is journaled as a failed attempt before the call begins again, behind a back-off that grows and is spread by chance: those
that did nothing wrong but to be under way in the same worker begin at another time than the one that ended it. So a step that
kills its process is counted across processes, and fails as StepInterrupted after INTERRUPTIONS_MAX. Interruptions do not count
for the policy of a step or compensation; a compensation is never given up for them, nor is a step behind the pivot.
"""

from __future__ import annotations

from collections.abc import Callable

from durable_saga.errors import StepInterrupted
from durable_saga.failures.failures import failure_from_exception
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay.pending import Pending
from durable_saga.replay.run import Core
from durable_saga.replay.unwind import RUNNING, Entry

INTERRUPTIONS_MAX = 5
INTERRUPTION_BACKOFF_MS = 200
INTERRUPTION_BACKOFF_FACTOR = 4
INTERRUPTION_BACKOFF_MS_MAX = 60_000


def tell_interruptions(core: Core, now_ms: int, interrupted: bool = True, random: Callable[[], float] = lambda: 0.5) -> None:
    """Call once, after the replay; `interrupted`: the owner before died. `random` is uniform in [0, 1). Raises what `feed()`
    raises."""
    if not interrupted:
        return
    facts = [_of_step(core, one, now_ms, random()) for one in core.calls.pending.values() if _may_have_begun(one, now_ms)]
    running = (one for one in core.stack.entries.values() if one.state == RUNNING and not one.is_kept_back)
    undoing = [one for one in running if one.not_before_ms <= now_ms]
    facts += [_of_compensation(one, now_ms, random()) for one in undoing]
    if not facts:
        return
    calls = {getattr(fact, str(fact.WhichOneof("kind"))).call for fact in facts}
    core.tape.effects = [effect for effect in core.tape.effects if effect.call not in calls]
    for fact in facts:
        core.feed(fact, now_ms)


def back_off_ms(interruptions: int, random: float = 0.5) -> int:
    """Before the attempt after so many of them, at least one: half to one and a half of what the number says."""
    exponent = min(interruptions - 1, 10)
    middle = min(INTERRUPTION_BACKOFF_MS * int(INTERRUPTION_BACKOFF_FACTOR**exponent), INTERRUPTION_BACKOFF_MS_MAX)
    return int(middle * (0.5 + random))


def _may_have_begun(pending: Pending, now_ms: int) -> bool:
    """A step without effects begins before its intent is committed. One that is at_most_once is not repeated at all."""
    if pending.definition.at_most_once or pending.is_kept_back or pending.not_before_ms > now_ms:
        return False
    return pending.from_history or not pending.definition.effect


def _of_step(core: Core, pending: Pending, now_ms: int, random: float) -> h.Event:
    count = pending.interruptions + 1
    if count >= INTERRUPTIONS_MAX and not core.past_pivot:
        failure = _failure(f"step {pending.definition.name} was cut off {count} times: its worker died; it is not tried again")
        failure.non_retryable = True
        return h.Event(step_failed=h.StepFailed(call=pending.call, attempt=pending.attempt, failure=failure))
    failure = _failure(f"its worker died while attempt {pending.attempt} may have been under way")
    return h.Event(step_attempt_failed=h.StepAttemptFailed(
        call=pending.call, attempt=pending.attempt, failure=failure, interrupted=True,
        retry_at_ms=now_ms + back_off_ms(count, random),
    ))  # fmt: skip


def _of_compensation(entry: Entry, now_ms: int, random: float) -> h.Event:
    failure = _failure(f"its worker died while attempt {entry.attempt} may have been under way")
    at_ms = now_ms + back_off_ms(entry.interruptions + 1, random)
    return h.Event(compensation_attempt_failed=h.CompensationAttemptFailed(
        call=entry.call, attempt=entry.attempt, failure=failure, retry_at_ms=at_ms, interrupted=True,
    ))  # fmt: skip


def _failure(words: str) -> p.Failure:
    return failure_from_exception(StepInterrupted(words))
