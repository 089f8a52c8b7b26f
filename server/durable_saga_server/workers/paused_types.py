"""The saga types of which nothing begins: a switch for each, whose value is a Pause. No run of such a type is given to a
worker, and workers that hold some are told (docs/pausing.md)."""

from __future__ import annotations

from collections.abc import Callable

from durable_saga.pb import client_pb2 as c
from durable_saga_server.history.pausing import words
from durable_saga_server.journal import Head
from durable_saga_server.workers.switches import Switches

NAME = "paused/"


class PausedTypes:
    """`set` raises JournalError."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._types: dict[str, dict[str, c.Pause]] = {}
        self._listeners: list[Callable[[], None]] = []
        switches.on_change(self._look)

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def of(self, namespace: str) -> dict[str, c.Pause]:
        """By type, in order."""
        return self._types.get(namespace, {})

    def names(self, namespace: str) -> frozenset[str]:
        return frozenset(self.of(namespace))

    def pause_of(self, namespace: str, saga_type: str) -> c.Pause | None:
        return self.of(namespace).get(saga_type)

    def why(self, namespace: str, saga_type: str) -> str:
        """Behind "it is paused"; empty: it is not."""
        pause = self.pause_of(namespace, saga_type)
        return "" if pause is None else words(pause)

    def why_of(self, head: Head) -> str:
        """The same of an open run: by itself, and by its type."""
        return "; ".join(filter(None, (head.paused, self.why(head.run.namespace, head.saga_type))))

    async def set(self, namespace: str, pause: c.Pause) -> bool:
        """Whether it was not paused before; who pauses it again gives another reason."""
        was_paused = False

        def change(was: bytes) -> bytes:
            nonlocal was_paused
            was_paused = bool(was)
            return pause.SerializeToString()

        await self._switches.put(namespace, NAME + pause.saga_type, change)
        return not was_paused

    async def clear(self, namespace: str, saga_type: str) -> bool:
        """Whether it was paused."""
        return await self._switches.put(namespace, NAME + saga_type, lambda _: b"")

    def _look(self) -> None:
        found: dict[str, dict[str, c.Pause]] = {}
        for switch in self._switches.named(NAME):
            pause = c.Pause.FromString(switch.value)
            found.setdefault(switch.namespace, {})[switch.name.removeprefix(NAME)] = pause
        if found != self._types:
            self._types = found
            for listener in self._listeners:
                listener()
