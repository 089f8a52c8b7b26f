"""Search attributes: a few short texts by name, which listings find a run by. Pure.

They stand in the history (SagaStarted.attributes, AttributesSet): what was set later is added to what was there, and replaces a
value of the same name. A name is never taken back. The next run of a saga that continues takes them over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from durable_saga.pb import history_pb2 as h
from durable_saga.pb.limits import is_whole
from durable_saga.pb.payloads import ATTRIBUTE_CHARACTERS_MAX, ATTRIBUTE_NAME_CHARACTERS_MAX, ATTRIBUTES_PER_RUN_MAX
from durable_saga.replay.tape import Tape


def texts_of(attributes: Mapping[str, Any]) -> dict[str, str]:
    """As they are kept. Raises ValueError for a name or value that is none."""
    found = {name: _text(name, value) for name, value in attributes.items()}
    if len(found) > ATTRIBUTES_PER_RUN_MAX:
        raise ValueError(
            f"{len(found)} search attributes are too many: a run has at most {ATTRIBUTES_PER_RUN_MAX} (ATTRIBUTES_PER_RUN_MAX)"
        )
    return found


def _text(name: Any, value: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier() or len(name) > ATTRIBUTE_NAME_CHARACTERS_MAX:
        raise ValueError(
            f"{name!r} isn't the name of a search attribute: use letters, digits and _, not a digit first, at most"
            f" {ATTRIBUTE_NAME_CHARACTERS_MAX} characters (ATTRIBUTE_NAME_CHARACTERS_MAX)"
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value) if isinstance(value, int) else value
    if not isinstance(text, str) or not 1 <= len(text) <= ATTRIBUTE_CHARACTERS_MAX or not is_whole(text):
        raise ValueError(
            f"search attribute {name} can't be {str(value)[:100]!r}: it takes a str of 1 to {ATTRIBUTE_CHARACTERS_MAX}"
            " whole characters (ATTRIBUTE_CHARACTERS_MAX), an int or a bool"
        )
    return text


class Attributes:
    """Owns what the run has set so far."""

    __slots__ = ("_tape", "values")

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self.values: dict[str, str] = {}

    def set(self, call: str, attributes: Mapping[str, Any]) -> None:
        """Raises ValueError."""
        added = texts_of(attributes)
        self.values = texts_of(self.values | added)
        self._tape.ask(h.Event(attributes_set=h.AttributesSet(call=call, attributes=added)))

    def committed(self, attributes: Mapping[str, str]) -> None:
        """What the history holds, whatever the code of today would set."""
        self.values.update(attributes)
