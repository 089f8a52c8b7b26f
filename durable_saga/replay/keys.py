"""Correlation keys of a saga's start: the client writes them with the start when it has the saga's code. For a start by name
the first activation declares what is missing; later ones repeat what the history holds, so `keys=` may change at any time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from durable_saga.pb import history_pb2 as h

if TYPE_CHECKING:
    from durable_saga.replay.run import Core

_CALL = "key"
KEY_CHARACTERS_MAX = 255


def check_key(key: Any) -> str:
    """Raises ValueError."""
    if not isinstance(key, str) or not 1 <= len(key) <= KEY_CHARACTERS_MAX:
        raise ValueError(f"{key!r} is no correlation key: it takes a string of 1 to {KEY_CHARACTERS_MAX} characters")
    return key


class StartKeys:
    def __init__(self, core: Core, events: Sequence[h.Event]) -> None:
        self._core = core
        begun = takewhile(lambda event: event.key_declared.call.startswith(_CALL), events[1:])
        self._declared = [event.key_declared.key for event in begun] if len(events) > 1 else None

    def declare(self, written: Sequence[str], args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Before the saga's code runs. Raises ValueError, and what the user's function raises."""
        keys = self._declared
        if keys is None:
            wanted = self._core.definition.keys
            found = map(check_key, wanted(*args, **kwargs)) if wanted is not None else ()
            keys = [key for key in found if key not in written]
        for number, key in enumerate(keys):
            self._core.ask(h.Event(key_declared=h.KeyDeclared(call=f"{_CALL}{number}", key=key)))
