"""Correlation keys and search attributes of a saga's start: the client writes them with the start when it has the saga's code.
For a start by name the first activation declares what is missing, and a child saga declares its own keys when it begins. Later
activations repeat what the history holds, so `keys=` and `attributes=` may change at any time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from durable_saga.definition.definition import SagaDefinition
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.limits import is_whole
from durable_saga.replay.attributes import Attributes, texts_of
from durable_saga.replay.tape import Tape

_CALL = "key"
_ATTRIBUTES_CALL = "attributes"
KEY_CHARACTERS_MAX = 255


def check_key(key: Any) -> str:
    """Raises ValueError."""
    if not isinstance(key, str) or not 1 <= len(key) <= KEY_CHARACTERS_MAX or not is_whole(key):
        raise ValueError(f"{key!r} isn't a correlation key: give a string of 1 to {KEY_CHARACTERS_MAX} whole characters")
    return key


class Keys:
    """Owns the correlation keys of the run, which the next run takes over: those of its start, then those of its code."""

    __slots__ = ("_tape", "held")

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self.held: dict[str, None] = {}

    def start(self, keys: Sequence[str]) -> None:
        self.held.update(dict.fromkeys(keys))

    def declare(self, call: str, key: str) -> None:
        self.held[key] = None
        self._tape.ask(h.Event(key_declared=h.KeyDeclared(call=call, key=key)))


class Declared:
    """What a saga declares before its code runs: as its history has it, or, where that has nothing, as its functions say."""

    __slots__ = ("_attributes", "_events", "_keys", "_of_children", "_run_attributes", "_run_keys")

    def __init__(self, keys: Keys, attributes: Attributes) -> None:
        self._run_keys, self._run_attributes = keys, attributes
        self._keys: list[str] | None = None
        self._attributes: dict[str, str] | None = None
        self._events: Sequence[h.Event] = ()
        self._of_children: dict[str, list[str]] | None = None

    def replay(self, events: Sequence[h.Event]) -> None:
        """These will be walked through."""
        begun = list(takewhile(_is_of_start, events[1:]))
        is_new = len(events) <= 1
        keys = [event.key_declared.key for event in begun if event.HasField("key_declared")]
        sets = [event.attributes_set.attributes for event in begun if event.HasField("attributes_set")]
        self._keys = None if is_new else keys
        self._attributes = None if is_new else dict(sets[0]) if sets else {}
        self._events = events

    def replayed(self) -> None:
        """From here on all is new."""
        self._events, self._of_children = (), {}

    def declare(
        self, definition: SagaDefinition, args: Sequence[Any], kwargs: Mapping[str, Any], *,
        start: h.SagaStarted | None = None, path: str = "",
    ) -> None:  # fmt: skip
        """Before the code of the saga, or of the child saga at `path`, runs. Raises ValueError, and what the user's functions
        raise."""
        keys = self._held_of_child(path) if path else self._keys
        if keys is None:
            found = map(check_key, definition.keys(*args, **kwargs)) if definition.keys is not None else ()
            keys = [key for key in found if start is None or key not in start.keys]
        for number, key in enumerate(keys):
            call = f"{path}.{_CALL}{number}" if path else f"{_CALL}{number}"
            self._run_keys.declare(call, key)
        if start is not None:
            self._declare_attributes(definition, args, kwargs, start)

    def _declare_attributes(
        self, definition: SagaDefinition, args: Sequence[Any], kwargs: Mapping[str, Any], start: h.SagaStarted
    ) -> None:
        attributes = self._attributes
        if attributes is None:
            wanted = texts_of(definition.attributes(*args, **kwargs)) if definition.attributes is not None else {}
            attributes = {name: text for name, text in wanted.items() if name not in start.attributes}
        if attributes:
            self._run_attributes.set(_ATTRIBUTES_CALL, attributes)

    def _held_of_child(self, path: str) -> list[str] | None:
        """What the history holds of a child, None when it has not begun there."""
        if self._of_children is None:
            scopes = [event.scope_opened for event in self._events if event.HasField("scope_opened")]
            self._of_children = {_path(one.call): [] for one in scopes if one.saga_type}
            for one in [event.key_declared for event in self._events if event.HasField("key_declared")]:
                if (
                    one.call.rpartition(".")[2].startswith(_CALL)
                    and (found := self._of_children.get(_path(one.call))) is not None
                ):
                    found.append(one.key)
        return self._of_children.get(path)


def _path(call: str) -> str:
    return call.rpartition(".")[0]


def _is_of_start(event: h.Event) -> bool:
    return event.key_declared.call.startswith(_CALL) or event.attributes_set.call == _ATTRIBUTES_CALL
