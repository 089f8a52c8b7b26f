"""Correlation keys and search attributes of a saga's start: the client writes them with the start when it has the saga's code.
For a start by name the first activation declares what is missing; later ones repeat what the history holds, so `keys=` and
`attributes=` may change at any time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from durable_saga.pb import history_pb2 as h
from durable_saga.replay.attributes import texts_of

if TYPE_CHECKING:
    from durable_saga.replay.run import Core

_CALL = "key"
_ATTRIBUTES_CALL = "attributes"
KEY_CHARACTERS_MAX = 255


def check_key(key: Any) -> str:
    """Raises ValueError."""
    if not isinstance(key, str) or not 1 <= len(key) <= KEY_CHARACTERS_MAX:
        raise ValueError(f"{key!r} is no correlation key: it takes a string of 1 to {KEY_CHARACTERS_MAX} characters")
    return key


class Declared:
    def __init__(self, core: Core, events: Sequence[h.Event]) -> None:
        self._core = core
        begun = list(takewhile(_is_of_start, events[1:]))
        self._is_new = len(events) <= 1
        self._keys = [event.key_declared.key for event in begun if event.HasField("key_declared")]
        sets = [event.attributes_set.attributes for event in begun if event.HasField("attributes_set")]
        self._attributes = dict(sets[0]) if sets else {}

    def declare(self, start: h.SagaStarted, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Before the saga's code runs. Raises ValueError, and what the user's functions raise."""
        if self._is_new:
            definition = self._core.definition
            keys = map(check_key, definition.keys(*args, **kwargs)) if definition.keys is not None else ()
            self._keys = [key for key in keys if key not in start.keys]
            wanted = texts_of(definition.attributes(*args, **kwargs)) if definition.attributes is not None else {}
            self._attributes = {name: text for name, text in wanted.items() if name not in start.attributes}
        for number, key in enumerate(self._keys):
            self._core.ask(h.Event(key_declared=h.KeyDeclared(call=f"{_CALL}{number}", key=key)))
        if self._attributes:
            self._core.attributes.set(_ATTRIBUTES_CALL, self._attributes)


def _is_of_start(event: h.Event) -> bool:
    return event.key_declared.call.startswith(_CALL) or event.attributes_set.call == _ATTRIBUTES_CALL
