"""What an open saga does or waits for, as listings and statistics say it: one word each (docs/listing.md)."""

from __future__ import annotations

from collections.abc import Iterable

from durable_saga import errors
from durable_saga.pb import history_pb2 as h

WORDS: dict[int, str] = {
    h.SUB_STATE_UNSPECIFIED: "running", h.BLOCKED: "blocked", h.PAUSED: "paused", h.STUCK: "stuck",
    h.FAILED_AND_HELD: "held", h.RETRYING: "retrying", h.NO_WORKER: "no_worker", h.WAITING: "waiting",
    h.SLEEPING: "sleeping", h.SETTLING: "settling", h.UNWINDING: "unwinding",
}  # fmt: skip
TROUBLE_MAX = 9
"""Sub-states up to it may need a person."""
_NUMBERS = {word: number for number, word in WORDS.items()}


def word_of(number: int) -> str:
    """Of the number on the wire, of a newer server too. Never raises."""
    return WORDS.get(number, f"state_{number}")


def numbers_of(words: Iterable[str]) -> list[h.SubState]:
    """Raises InvalidArgument for one that there is not."""
    asked = [one.lower().replace("-", "_").replace(" ", "_") for one in words]
    unknown = [one for one in asked if one not in _NUMBERS]
    if unknown:
        raise errors.InvalidArgument(f"there is no state {', '.join(unknown)}: use one of {', '.join(_NUMBERS)}")
    return [h.SubState.Name(_NUMBERS[one]) for one in asked]  # type: ignore[misc]
