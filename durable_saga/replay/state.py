"""What a saga keeps by name: `state.set()` inside, readable from outside. Journaled once an activation, and only if changed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from durable_saga import codec
from durable_saga.errors import DecodeError
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb.payloads import is_missing, is_same_value
from durable_saga.replay.loop import SagaLoop
from durable_saga.replay.surroundings import child_name, child_path
from durable_saga.replay.tape import Tape

NAMED = 2
"""The rules from which on the state of children has their names."""
EVENT_BYTES_MAX = 2 * 1024 * 1024
"""More than this in one activation becomes several events, unless it is one value."""


class State:
    """Values are fixed at `set()`: a later change of the object is not seen. A child saga has keys of its own, which
    begin with its name: `ship/phase`, for the second one of a name `ship#2/phase`. Rules 0 and 1: with the id of its call."""

    __slots__ = ("_changed", "_children", "_journaled", "_loop", "_owners", "_tape", "_values", "_versions")

    def __init__(self, tape: Tape, loop: SagaLoop) -> None:
        self._tape, self._loop = tape, loop
        self._values: dict[str, Any] = {}
        self._journaled: dict[str, bytes] = {}
        self._changed: dict[str, bytes] = {}
        self._versions = 0
        self._children: dict[str, int] = {}
        self._owners: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self._values.get(self._own(key)[0], default)

    def set(self, key: str, value: Any) -> None:
        """Raises NotSerializable, and ValueError for a key that another part of the saga has."""
        own, owner = self._own(key)
        if self._owners.setdefault(own, owner) != owner:
            whose = f"the child saga {self._owners[own]}" if self._owners[own] else "the saga around it"
            raise ValueError(f"state {key!r} would be kept as {own!r}, which {whose} already has: use another key")
        self._changed[own] = codec.encode(value, where=f"state {key!r}")
        self._values[own] = value

    def all(self) -> dict[str, Any]:
        return dict(self._values)

    def name_of_child(self, around: str, name: str) -> str:
        """For one that begins in the saga, or in the child of that name: children are told apart by their order."""
        own = f"{around}/{name}" if around else name
        self._children[own] = number = self._children.get(own, 0) + 1
        return own if number == 1 else f"{own}#{number}"

    def committed(self, changes: Mapping[str, p.Payload]) -> None:
        """What the history holds, of a run without code: plain data, which only conditions read."""
        for key, payload in changes.items():
            with suppress(DecodeError):
                self._values[key] = codec.decode(payload.data, where=f"state {key!r}")

    def keep_committed(self, changes: Mapping[str, p.Payload]) -> None:
        """Of a run that is only looked at: what its code has set and the history does not hold is taken back, and what the
        history holds and its code has not set comes from there, as what was there before if it can be read so."""
        for key in [key for key in self._values if key not in changes]:
            del self._values[key]
        for key, payload in changes.items():
            if is_missing(payload) or is_same_value(payload, p.Payload(data=self._journaled.get(key, b""))):
                continue
            kinds: list[Any] = [type(self._values[key])] if self._values.get(key) is not None else []
            for kind in (*kinds, Any):
                with suppress(DecodeError, TypeError):
                    self._values[key] = codec.decode(payload.data, kind, where=f"state {key!r}")
                    break

    def lacks(self, changes: Mapping[str, p.Payload]) -> bool:
        """Whether the data of a value is wanted that its code has not set."""
        return any(
            is_missing(one) and not is_same_value(one, p.Payload(data=self._journaled.get(key, b"")))
            for key, one in changes.items()
        )

    def _own(self, key: str) -> tuple[str, str]:
        """The key in the journal, and whose it is."""
        owner = child_name() if self._loop.rules >= NAMED else child_path()
        return (f"{owner}/{key}" if owner else key), owner

    def flush(self) -> None:
        """Ask for what changed since the last time, in the order in which it was first set."""
        if not self._changed:
            return
        changed = {key: data for key, data in self._changed.items() if self._journaled.get(key) != data}
        self._changed = {}
        if not changed:
            return
        self._journaled |= changed
        event, size = h.StateChanged(), 0
        for key, data in changed.items():
            if size and size + len(data) > EVENT_BYTES_MAX:
                self._ask(event)
                event, size = h.StateChanged(), 0
            event.changes[key].CopyFrom(p.Payload(data=data))
            size += len(data)
        self._ask(event)

    def _ask(self, event: h.StateChanged) -> None:
        event.call = str(self._versions)
        self._versions += 1
        self._tape.ask(h.Event(state_changed=event))
