"""The saga types of which nothing may begin now, as the servers tell that a worker is connected to.

Servers see a switch within some seconds of each other: what one of them says is paused, is. A server that is not connected
any more has no say, unless there is no other: then what was known stays.
"""

from __future__ import annotations

from collections.abc import Iterable

from durable_saga.worker.links import Stream


class PausedTypes:
    """Owned by a worker. Each method that may change them tells whether it did."""

    def __init__(self) -> None:
        self._told: dict[Stream, frozenset[str]] = {}
        self._types: frozenset[str] = frozenset()

    def has(self, saga_type: str, /) -> bool:
        return saga_type in self._types

    def told(self, stream: Stream, saga_types: Iterable[str]) -> bool:
        """All of them, as this server knows it."""
        self._told[stream] = frozenset(saga_types)
        return self.look_again()

    def look_again(self) -> bool:
        """Streams may have come or gone."""
        connected = {stream: types for stream, types in self._told.items() if stream.is_up}
        if not connected:
            return False
        before, self._told = self._types, connected
        self._types = frozenset().union(*connected.values())
        return self._types != before
