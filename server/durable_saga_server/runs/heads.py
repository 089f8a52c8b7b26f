"""The run that a caller means: the one that it names, the newest of a saga, those with a correlation key."""

from __future__ import annotations

from collections.abc import Sequence

from durable_saga.pb import history_pb2 as h
from durable_saga.pb.limits import status_name
from durable_saga_server.clock import Clock
from durable_saga_server.config import Config
from durable_saga_server.failures import ServiceError, check_name
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Head, Journal, Run
from durable_saga_server.runs.chains import Chains


class Heads:
    """Every method raises ServiceError and JournalError."""

    def __init__(self, journal: Journal, clock: Clock, config: Config, chains: Chains) -> None:
        self._journal = journal
        self._clock = clock
        self._config = config
        self._chains = chains

    async def head(self, key: h.RunKey) -> Head:
        """Of the run that is named, or of the newest."""
        check_name("namespace", key.namespace, self._config.id_characters_max)
        check_name("saga id", key.saga, self._config.id_characters_max)
        if key.run:
            head = await self._journal.runs.head(Run(key.namespace, key.saga, key.run))
        else:
            head = await self._chains.newest(key.namespace, key.saga)
        if head is None:
            which = f"run {key.run} of " if key.run else ""
            raise ServiceError("NOT_FOUND", f"there is no {which}saga {key.saga!r} in namespace {key.namespace!r}")
        return head

    async def open_head(self, key: h.RunKey) -> Head:
        head = await self.head(key)
        if head.status not in OPEN:
            raise ServiceError("FAILED_PRECONDITION", f"saga {key.saga!r} has ended: {status_name(head.status)}")
        return head

    async def open_keyed(self, namespace: str, correlation_key: str) -> Sequence[Head]:
        """The newest run of each open saga that declared the key."""
        config = self._config
        check_name("namespace", namespace, config.id_characters_max)
        check_name("correlation key", correlation_key, config.id_characters_max)
        while True:
            asked_ms = self._clock.now_ms()
            runs = await self._journal.index.keyed(namespace, correlation_key, config.keyed_sagas_max + 1)
            heads = {run: await self._newest(run) for run in runs}
            ended = [run for run, head in heads.items() if head is not None and (head.status not in OPEN or head.run != run)]
            for run in ended:
                await self._journal.index.drop_key(namespace, correlation_key, run, asked_ms)
            if len(runs) <= config.keyed_sagas_max or not ended:
                break
        found = {head.run.saga: head for head in heads.values() if head is not None and head.status in OPEN}
        if len(found) > config.keyed_sagas_max:
            raise ServiceError(
                "RESOURCE_EXHAUSTED",
                f"more than {config.keyed_sagas_max} open sagas have the correlation key {correlation_key!r} (keyed_sagas_max):"
                " publish to their ids",
            )
        return list(found.values())

    async def _newest(self, run: Run) -> Head | None:
        head = await self._journal.runs.head(run)
        if head is None or head.status != h.CONTINUED:
            return head
        return await self._chains.newest(run.namespace, run.saga)
