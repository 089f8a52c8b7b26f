"""For a service that embeds the engine: a manager of the journal, an orchestrator that runs sagas, an event bus.

All of them are faces of client and worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from durable_saga.client.client import Client, Handle
from durable_saga.client.connect import connect
from durable_saga.client.overview import Overview
from durable_saga.declared.compiled import function_of
from durable_saga.declared.declarative import AnySaga
from durable_saga.definition.retry import Retry
from durable_saga.errors import AlreadyEnded, NotFound, UnsupportedOperation
from durable_saga.sealing.payload_codec import PayloadCodec
from durable_saga.worker.worker import HEARTBEAT_SECONDS, Worker

Seconds = float | timedelta
_UNWOUND = ("compensated", "failed", "cancelled")


class SagaManager:
    """Owns the connection to a journal (`sqlite:///orders.db`, `cassandra://hosts/keyspace`) or a server (`host:port`).

    `tables` begins the names of our tables in a Cassandra keyspace that others use too. `timeout` (seconds or a timedelta) is
    for sagas that are started through this manager, `retry` for steps of its orchestrator, where they say nothing themselves.
    Raises ValueError for a URL that is none, or for `tables` with another kind of journal.
    """

    def __init__(
        self, journal: str, *, tables: str = "", timeout: Seconds | None = None, retry: Retry | None = None,
        namespace: str = "default", strict: bool = True, codec: PayloadCodec | None = None,
    ) -> None:  # fmt: skip
        if tables:
            parts = urlsplit(journal)
            if parts.scheme != "cassandra":
                raise ValueError(
                    f"tables={tables!r} is for a Cassandra keyspace; a SQLite file holds one journal: use another file"
                )
            journal += ("&" if parts.query else "?") + f"tables={tables}"
        self.client: Client = connect(journal, namespace=namespace, strict=strict, saga_timeout=timeout, codec=codec)
        self.timeout = timeout
        self.retry = retry

    async def initialize(self) -> None:
        """Make or migrate the tables: runs with their state, steps and compensations, messages, hints and lists. Safe to run
        twice, and by several processes at once. Raises Unavailable, and what a journal of a newer version or with weak
        settings raises."""
        await self.client.transport.ready()

    async def get_saga(self, saga_id: str) -> Overview:
        """Status, current step, completed and compensated steps, state, error, attempts, times. Raises NotFound."""
        return await self.client.handle(saga_id).overview()

    async def close(self) -> None:
        """End the connection. Sagas are not touched."""
        await self.client.close()

    async def __aenter__(self) -> SagaManager:
        await self.initialize()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class SagaOrchestrator:
    """Runs sagas in this process, from `async with` to its end, and starts them.

    `max_concurrent_sagas` are at work here at once; what is started beyond that waits in the journal, in order. Sagas that
    only wait for an event or a timer do not count. `heartbeat_interval` is how often the worker says that it lives (never
    more seldom than a third of the server's lease); `state_check_interval` how often an embedded engine reads its hints.
    """

    def __init__(
        self, manager: SagaManager, *, max_concurrent_sagas: int = 100, heartbeat_interval: Seconds = HEARTBEAT_SECONDS,
        state_check_interval: Seconds | None = None, concurrency: int = 100,
    ) -> None:  # fmt: skip
        if not isinstance(max_concurrent_sagas, int) or max_concurrent_sagas < 1:
            raise ValueError(f"max_concurrent_sagas is {max_concurrent_sagas!r}: give a whole number from 1 on")
        self._manager = manager
        self._sagas: dict[str, AnySaga] = {}
        if state_check_interval is not None:
            manager.client.transport.check_hints_every(state_check_interval)
        self._worker = Worker(
            manager.client, sagas=[], sagas_max=max_concurrent_sagas, heartbeat=heartbeat_interval, retry=manager.retry,
            concurrency=concurrency,
        )  # fmt: skip
        self._running = False

    def register(self, saga: AnySaga) -> None:
        """A function or a table; before or after the orchestrator runs. Raises DefinitionError, with file and line, and
        ValueError for a second saga of one name."""
        definition = function_of(saga).definition
        self._worker.register(saga)
        self._sagas[definition.name] = saga

    async def __aenter__(self) -> SagaOrchestrator:
        await self._manager.initialize()
        await self._worker.__aenter__()
        self._running = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        await self._worker.__aexit__(kind, error, trace)

    async def start(
        self, saga: str | AnySaga, /, *args: Any, id: str | None = None, timeout: Seconds | None = None, **kwargs: Any
    ) -> str:
        """Start a registered saga, by its name; its id is returned. The same id twice, with the same arguments, starts once.
        Raises AlreadyStarted for an id with other arguments, and NotFound for a name that is not registered, with the names
        that are."""
        name = saga if isinstance(saga, str) else function_of(saga).definition.name
        if name not in self._sagas:
            raise NotFound(f"no saga {name!r} is registered, only {', '.join(sorted(self._sagas)) or 'none'}")
        if not self._running:
            raise UnsupportedOperation(
                "the orchestrator isn't running: write `async with SagaOrchestrator(manager) as orchestrator:`"
            )
        started = await self._manager.client.start(self._sagas[name], *args, id=id, timeout=timeout, **kwargs)
        return started.id

    def handle(self, saga_id: str) -> Handle[Any]:
        """The saga of this id; nothing is asked yet."""
        return self._manager.client.handle(saga_id)

    async def result(self, saga_id: str, timeout: Seconds | None = None) -> Any:
        """Wait for the end; raises as `Handle.result()` does."""
        return await self.handle(saga_id).result(timeout)

    async def get_saga(self, saga_id: str) -> Overview:
        """As SagaManager.get_saga()."""
        return await self._manager.get_saga(saga_id)

    async def recover(self, saga_id: str, reason: str = "") -> None:
        """Let a held saga carry on from its failed step. Raises AlreadyEnded when it can't be recovered."""
        await self.handle(saga_id).recover(reason)

    async def compensate(self, saga_id: str, reason: str = "") -> None:
        """Stop forward work and unwind. One that was unwound already (compensated, failed, cancelled) is left as it is. Raises
        AlreadyEnded for a saga that is completed, terminated or past its pivot."""
        try:
            await self.handle(saga_id).compensate(reason)
        except AlreadyEnded:
            if (await self.get_saga(saga_id)).status not in _UNWOUND:
                raise


class EventBus:
    """Publishes events to sagas: by id, or to all that declared a correlation key."""

    def __init__(self, manager: SagaManager | Client) -> None:
        self._client = manager.client if isinstance(manager, SagaManager) else manager

    async def publish(
        self, event: str, data: Mapping[str, Any], *, key: str | None = None, message_id: str | None = None
    ) -> int:
        """`data` reaches the saga as a dict. Its `saga_id` names the saga, unless there is a `key`. Returns how many sagas got
        it; kept for one that does not wait for it yet. Raises NotFound and AlreadyEnded, and InvalidArgument when neither is
        given."""
        saga = data.get("saga_id") if key is None else None
        return await self._client.publish(event, dict(data), saga=saga, key=key, message_id=message_id)
