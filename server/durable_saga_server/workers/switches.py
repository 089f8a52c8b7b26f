"""What operators have set for all servers of a journal, as this server knows it: read again every `switches_ms`, and at once
where this server has set it.

A switch is a name with a value, in a namespace; no value and an empty one are the same. What can't be read stays as it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

from durable_saga_server.clock import Clock
from durable_saga_server.config import Config
from durable_saga_server.journal import Journal, JournalError, Switch
from durable_saga_server.tending import tend

log = logging.getLogger(__name__)
PUT_ATTEMPTS_MAX = 20


class Switches:
    """Call `start()` when the journal is open."""

    def __init__(self, journal: Journal, clock: Clock, config: Config) -> None:
        self._journal = journal
        self._clock = clock
        self._config = config
        self._known: dict[tuple[str, str], Switch] = {}
        self._listeners: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises JournalError."""
        await self._read()
        self._task = tend("switches", self._keep_reading, self._clock)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Called when some of them have changed."""
        self._listeners.append(listener)

    def value(self, namespace: str, name: str) -> bytes:
        one = self._known.get((namespace, name))
        return b"" if one is None else one.value

    def named(self, beginning: str) -> Iterator[Switch]:
        """Those that are set and whose names begin so, in order of namespace and name."""
        return (one for _, one in sorted(self._known.items()) if one.value and one.name.startswith(beginning))

    async def put(self, namespace: str, name: str, change: Callable[[bytes], bytes]) -> bool:
        """Set it to what `change` makes of what it is; whether it changed. All servers know within `switches_ms` and a
        read. Raises JournalError, and what `change` raises."""
        for attempt in range(PUT_ATTEMPTS_MAX):
            await self._read()
            before = self._known.get((namespace, name))
            was = b"" if before is None else before.value
            if (value := change(was)) == was:
                return False
            switch = Switch(namespace, name, value, 1 if before is None else before.version + 1)
            if await self._journal.switches.put(switch):
                self._learn({**self._known, (namespace, name): switch})
                return True
            await self._clock.sleep(0.01 * attempt)
        raise JournalError(f"{name}: others set it too, {PUT_ATTEMPTS_MAX} times in a row: repeat the call")

    async def _keep_reading(self) -> None:
        while True:
            await self._clock.sleep(self._config.switches_ms / 1000)
            try:
                await self._read()
            except JournalError as error:
                log.warning("the switches can't be read: %s", error)

    async def _read(self) -> None:
        self._learn({(one.namespace, one.name): one for one in await self._journal.switches.all()})

    def _learn(self, found: dict[tuple[str, str], Switch]) -> None:
        """A read that was overtaken by a later write brings back nothing."""
        for key, known in self._known.items():
            if key not in found or found[key].version < known.version:
                found[key] = known
        if found != self._known:
            self._known = found
            for listener in list(self._listeners):
                listener()
