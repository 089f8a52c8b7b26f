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

    `tables` is a prefix for the names of our tables, for a Cassandra keyspace that others use too. `timeout` (seconds or a
    timedelta) is for sagas that are started through this manager, and `retry` for steps of its orchestrator, if these have no
    value of their own. Raises ValueError for a wrong URL, and for `tables` with another kind of journal."""

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
        """Create or migrate the tables: runs with their state, steps and compensations, messages, hints and lists. Safe to
        call twice, and in several processes at once. Raises Unavailable, and an error for a journal of a newer version or
        with weak settings."""
        await self.client.transport.ready()

    async def get_saga(self, saga_id: str) -> Overview:
        """Status, current step, completed and compensated steps, state, error, attempts, times. Raises NotFound."""
        return await self.client.handle(saga_id).overview()

    async def close(self) -> None:
        """End the connection. Sagas are not changed."""
        await self.client.close()

    async def __aenter__(self) -> SagaManager:
        await self.initialize()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class SagaOrchestrator:
    """Runs sagas in this process, as long as its `async with` block lasts, and starts them.

    At most `max_concurrent_sagas` run here at once; further ones wait in the journal, in order. Sagas that only wait for an
    event or a timer do not count. `heartbeat_interval` is how often the worker tells that it is alive (at least three times
    in the server's lease). `state_check_interval` is how often an embedded engine reads its hints."""

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
        """Register a function or a table, before or after the orchestrator runs. Raises DefinitionError, with file and line,
        and ValueError for a second saga of the same name."""
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
        """Start a registered saga by its name, and return its id. The same id twice, with the same arguments, starts once.
        Raises AlreadyStarted for an id with other arguments, and NotFound for a name that is not registered."""
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
        """A handle of the saga with this id. Nothing is sent yet."""
        return self._manager.client.handle(saga_id)

    async def result(self, saga_id: str, timeout: Seconds | None = None) -> Any:
        """Wait for the end; raises as `Handle.result()` does."""
        return await self.handle(saga_id).result(timeout)

    async def get_saga(self, saga_id: str) -> Overview:
        """As SagaManager.get_saga()."""
        return await self._manager.get_saga(saga_id)

    async def recover(self, saga_id: str, reason: str = "") -> None:
        """Continue a held saga from its failed step. Raises AlreadyEnded if it can't be recovered."""
        await self.handle(saga_id).recover(reason)

    async def compensate(self, saga_id: str, reason: str = "") -> None:
        """Stop forward work and undo what the saga did. A saga that was already undone (compensated, failed, cancelled) is
        left as it is. Raises AlreadyEnded for a saga that is completed, terminated or past its pivot."""
        try:
            await self.handle(saga_id).compensate(reason)
        except AlreadyEnded:
            if (await self.get_saga(saga_id)).status not in _UNWOUND:
                raise


class EventBus:
    """Publishes events to sagas: by id, or to all sagas that declared a correlation key."""

    def __init__(self, manager: SagaManager | Client) -> None:
        self._client = manager.client if isinstance(manager, SagaManager) else manager

    async def publish(
        self, event: str, data: Mapping[str, Any], *, key: str | None = None, message_id: str | None = None
    ) -> int:
        """`data` reaches the saga as a dict. Its `saga_id` names the saga, unless `key` is given. An event is kept for a saga
        that does not wait for it yet. Returns how many sagas got the event. Raises NotFound and AlreadyEnded, and
        InvalidArgument if neither a saga id nor a key is given."""
        saga = data.get("saga_id") if key is None else None
        return await self._client.publish(event, dict(data), saga=saga, key=key, message_id=message_id)
