"""The error that a caller gets of a saga that did not complete: its class by the status, its words by what was undone."""

from __future__ import annotations

from durable_saga import errors
from durable_saga.failures.remade import failure_info
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h

NAMES_MAX = 5
"""Of steps, in the text of an error."""
_UNDONE = ", and what it had done was undone"
_ENDINGS: dict[int, tuple[type[errors.SagaError], str]] = {
    h.FAILED: (errors.SagaFailed, "failed; there was nothing to undo"),
    h.COMPENSATED: (errors.SagaCompensated, f"failed{_UNDONE}"),
    h.CANCELLED: (errors.SagaCancelled, f"was cancelled{_UNDONE}"),
    h.TERMINATED: (errors.SagaTerminated, "was terminated; nothing was undone"),
    h.COMPENSATION_STUCK: (errors.SagaStuck, "has a compensation that needs an operator"),
    h.HELD: (errors.SagaHeld, "failed and is held: recover or compensate it"),
}


def error_of(saga: str, one: c.Description) -> errors.SagaError | None:
    """None: it has no end that is an error."""
    if one.status not in _ENDINGS:
        return None
    kind, words = _ENDINGS[one.status]
    return kind(saga, failure_info(one.failure) if one.HasField("failure") else None, _in_fact(words, one))


def _in_fact(words: str, one: c.Description) -> str:
    """With what was undone, in that order, and not that something was where nothing was."""
    undone = [step for step in one.steps if step.compensation_state in ("done", "resolved")]
    if not undone:
        is_skipped = any(step.compensation_state == "skipped" for step in one.steps)
        return words.replace(_UNDONE, "; nothing was undone" if is_skipped else "; there was nothing to undo")
    left = [step.name for step in one.steps if step.compensation_state == "skipped"]
    names = [step.name for step in sorted(undone, key=lambda step: step.compensation_seq)]
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return words.replace(_UNDONE, f"{_UNDONE}: {', '.join(names[:NAMES_MAX])}{more}{_left(left)}")


def _left(names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return f"; not undone, because it was skipped: {', '.join(names[:NAMES_MAX])}{more}"
