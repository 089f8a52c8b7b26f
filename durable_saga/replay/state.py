"""What a saga keeps by name: `state.set()` inside, readable from outside. Journaled once an activation, and only if changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durable_saga import codec
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay.scopes import child_path

if TYPE_CHECKING:
    from durable_saga.replay.run import Core

EVENT_BYTES_MAX = 2 * 1024 * 1024
"""More than this in one activation becomes several events, unless it is one value."""


class State:
    """Values are fixed at `set()`: a later change of the object is not seen. A child saga has keys of its own."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._values: dict[str, Any] = {}
        self._journaled: dict[str, bytes] = {}
        self._changed: dict[str, bytes] = {}
        self._versions = 0

    def get(self, key: str, default: Any = None) -> Any:
        return self._values.get(_own(key), default)

    def set(self, key: str, value: Any) -> None:
        """Raises NotSerializable."""
        own = _own(key)
        self._changed[own] = codec.encode(value, where=f"state {key!r}")
        self._values[own] = value

    def all(self) -> dict[str, Any]:
        return dict(self._values)

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
        self._core.ask(h.Event(state_changed=event))


def _own(key: str) -> str:
    call = child_path()
    return f"{call}/{key}" if call else key
