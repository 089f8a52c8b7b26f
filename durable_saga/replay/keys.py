"""Correlation keys of a saga's start: the client writes them with the start when it has the saga's code. For a start by name
the first activation declares what is missing, and a child saga declares its own when it begins. Later activations repeat what
the history holds, so `keys=` may change at any time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from durable_saga.definition import SagaDefinition
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
        self._declared = {"": [event.key_declared.key for event in begun]} if len(events) > 1 else {}
        for event in events:
            if event.scope_opened.saga_type:
                self._declared.setdefault(_path(event.scope_opened.call), [])
        for event in events:
            path, _, number = event.key_declared.call.rpartition(".")
            if path and path in self._declared and number.startswith(_CALL):
                self._declared[path].append(event.key_declared.key)

    def declare(
        self, definition: SagaDefinition, args: Sequence[Any], kwargs: Mapping[str, Any], *,
        written: Sequence[str] = (), path: str = "",
    ) -> None:  # fmt: skip
        """Before the code of the saga, or of the child saga at `path`, runs. Raises ValueError, and what the user's function
        raises."""
        keys = self._declared.get(path)
        if keys is None:
            found = map(check_key, definition.keys(*args, **kwargs)) if definition.keys is not None else ()
            keys = [key for key in found if key not in written]
        for number, key in enumerate(keys):
            call = f"{path}.{_CALL}{number}" if path else f"{_CALL}{number}"
            self._core.ask(h.Event(key_declared=h.KeyDeclared(call=call, key=key)))


def _path(call: str) -> str:
    return call.rpartition(".")[0]
