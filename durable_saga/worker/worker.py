"""A worker: runs sagas and their steps, holds a stream to each history server, and can die at any instant.

It owns nothing that isn't in the journal. After a lost connection it comes back with what it still holds and sends again
what was in flight. `run()` ends by cancellation or `stop()`, and gives its sagas back to others first.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from types import TracebackType

from durable_saga import codec
from durable_saga.client import raw
from durable_saga.client.client import Client
from durable_saga.client.sending import text
from durable_saga.clock import Chance, Clock, SystemChance, SystemClock
from durable_saga.declared.compiled import function_of
from durable_saga.declared.declarative import AnySaga
from durable_saga.definition.definition import SagaDefinition
from durable_saga.definition.retry import Retry, policy_of, to_ms
from durable_saga.hooks import Hook
from durable_saga.hooks import checked as hooks_of
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.process_names import new_name
from durable_saga.pb.versions import PROTOCOL
from durable_saga.replay import Core, guard
from durable_saga.transport import grpc_guard
from durable_saga.transport.grpc_guard import refuse_client_in_saga
from durable_saga.watchdog import ACTIVATION_SECONDS_MAX
from durable_saga.worker.active_run import ActiveRun
from durable_saga.worker.answering import Answering
from durable_saga.worker.attempts import Executor
from durable_saga.worker.blocked import BlockedSagas
from durable_saga.worker.build import build_of
from durable_saga.worker.catalogue import Catalogue
from durable_saga.worker.heartbeat import Heartbeat
from durable_saga.worker.lifespan import WorkerLifespan, checked, opened
from durable_saga.worker.links import Links, Stream
from durable_saga.worker.paused_types import PausedTypes
from durable_saga.worker.room import load_of
from durable_saga.worker.served_clock import ServedClock
from durable_saga.worker.way_out import unknown, why_unknown

log = logging.getLogger(__name__)
HEARTBEAT_SECONDS = 2.0
DRAIN_SECONDS = 24.0
_Key = tuple[str, str, int]


class Worker:
    """Runs sagas and their steps, as long as its `async with` block or `run()` lasts.

    - `sagas`: functions, classes or instances.
    - `concurrency`: how many steps may run at once. `sagas_max`: how many sagas are kept in memory.
    - `retry`: for steps without a policy of their own or of their saga. `step_timeout` (seconds or a timedelta): for steps
      without a time-out of their own; it does not apply to compensations.
    - `heartbeat` (seconds or a timedelta): how often the worker tells that it is alive. A worker that is silent for the
      server's lease (8 s) counts as dead.
    - `lifespans`: its resources, open before its first step and closed after its last (`@worker_lifespan`).
    - `activation_seconds_max`: saga code that runs longer than this without waiting is stopped, and its saga is blocked.
    - `hooks`: around each attempt of a step or compensation, within those of the client (`@hook`).
    - `build`: the name of this state of the code (docs/builds.md); else DURABLE_SAGA_BUILD, or one made from the files.

    Raises ValueError and TypeError for wrong values and for two sagas with the same name, and DefinitionError for a wrong
    saga. `async with` and `run()` raise LifespanFailed."""

    def __init__(
        self, client: Client, *, sagas: Sequence[AnySaga], concurrency: int = 100, sagas_max: int = 1_000,
        name: str | None = None, clock: Clock | None = None, retry: Retry | None = None,
        heartbeat: float | timedelta = HEARTBEAT_SECONDS, chance: Chance | None = None,
        converters: codec.Converters | None = None, activation_seconds_max: float = ACTIVATION_SECONDS_MAX,
        lifespans: Sequence[WorkerLifespan] = (), step_timeout: float | timedelta | None = None, build: str | None = None,
        hooks: Sequence[Hook] = (),
    ) -> None:  # fmt: skip
        """`converters` are those of `Client`."""
        for option, value in (("concurrency", concurrency), ("sagas_max", sagas_max)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{option} is {value!r}: give a whole number from 1 on")
        if not isinstance(sagas, Iterable):
            raise TypeError(f"sagas is {sagas!r}: give a list, such as [{getattr(sagas, '__name__', 'order')}]")
        guard.install()
        codec.register(converters or {})
        self._retry = policy_of(retry, name="Worker(retry)") or Retry()
        self._step_timeout_ms = 0 if step_timeout is None else to_ms(step_timeout, name="step_timeout")
        self.activation_seconds_max = to_ms(activation_seconds_max, name="activation_seconds_max") / 1000
        self.build = build_of(sagas, build)
        self.blocked = BlockedSagas(client.sealing)
        self._paused = PausedTypes()
        self.is_type_paused = self._paused.has
        self.chance = chance or SystemChance()
        self._heartbeat_seconds = to_ms(heartbeat, name="heartbeat") / 1000
        self.name = text("name", name) if name else new_name(self.chance.new())
        self.clock = ServedClock(clock or SystemClock())
        self._client = client
        self._lifespans = checked(lifespans)
        self._hooks = (*client.hooks, *hooks_of(hooks))
        self._opened, self.connected = asyncio.Event(), asyncio.Event()
        self._sagas = list(sagas)
        self._definitions = _by_name(sagas)
        self.catalogue = Catalogue(self._sagas)
        self._concurrency, self._sagas_max = concurrency, sagas_max
        self._runs: dict[_Key, ActiveRun] = {}
        self._parts: dict[tuple[str, str, int, int], w.Assign] = {}
        self.fetch = functools.partial(raw.fetch, client)
        self.sealing = client.sealing
        self._answering = Answering(lambda: self._definitions, self.catalogue, self.fetch, self.sealing)
        self._links = Links(client.transport, self, sagas_max)
        self._dirty: list[ActiveRun] = []
        self._requests = 0
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Work until `stop()` or cancellation. Reconnects as often as needed."""
        refuse_client_in_saga("a worker")
        grpc_guard.install()
        async with opened(self._lifespans):
            self._opened.set()
            await self._run()

    async def _run(self) -> None:
        client, options = self._client, (self._step_timeout_ms, self._hooks, self._client.carry)
        self.executor = Executor(self._concurrency, self.clock, self._retry, self.chance, *options)
        transport = client.transport
        heartbeat = (
            Heartbeat(transport.routes, self.name, transport.credentials, self._links.secret)
            if transport.needs_heartbeats
            else None
        )
        if heartbeat is not None:
            heartbeat.start()
        connection = asyncio.create_task(self._links.run())
        beats = asyncio.create_task(self._beat())
        try:
            await _until_stopped(self._stopping, connection, beats)
            await self._drain()
        finally:
            connection.cancel()
            beats.cancel()
            await asyncio.gather(connection, beats, return_exceptions=True)
            self._answering.close()
            for run in list(self._runs.values()):
                run.drop()
            if heartbeat is not None:
                await heartbeat.stop()
            self.executor.close()

    def register(self, saga: AnySaga) -> None:
        """Run sagas of this kind too. A worker that is connected reconnects, to tell the servers. Raises as the constructor
        does."""
        self._definitions = _by_name([*self._sagas, saga])
        self._sagas.append(saga)
        self._links.restart()

    def stop(self) -> None:
        """Take no new sagas, let attempts finish (up to DRAIN_SECONDS), give the sagas back, end `run()`."""
        self._stopping.set()

    async def __aenter__(self) -> Worker:
        self._task = asyncio.create_task(self.run())
        if self._lifespans:
            await self._until_open(self._task)
        return self

    async def _until_open(self, task: asyncio.Task[None]) -> None:
        """Raises LifespanFailed."""
        is_open = asyncio.create_task(self._opened.wait())
        try:
            await asyncio.wait({is_open, task}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        finally:
            is_open.cancel()
        if task.done():
            await task

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._task is not None:
            await self._task

    # --- what active runs use ------------------------------------------------------------------------------------------

    def send(self, key: h.RunKey, item: w.WorkerItem) -> Stream | None:
        return self._links.send(key, item)

    def next_request(self) -> int:
        self._requests += 1
        return self._requests

    def flush_soon(self, run: ActiveRun) -> None:
        """Commit at the end of this turn of the loop, so that what happens in one turn costs one commit."""
        if not self._dirty:
            self.executor.loop.call_soon(self._flush)
        self._dirty.append(run)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for run in dirty:
            run.flush()

    def forget(self, run: ActiveRun) -> None:
        key = _key(run.key)
        if self._runs.get(key) is run:
            del self._runs[key]
            self._links.left(run)

    # --- the streams -----------------------------------------------------------------------------------------------------

    def hello(self) -> w.Hello:
        return w.Hello(
            worker=self.name, protocol=PROTOCOL, namespace=self._client.namespace, saga_types=list(self._definitions),
            build=self.build, undoes_others=True, answers_queries=True,
        )  # fmt: skip

    def held(self) -> Iterable[ActiveRun]:
        return self._runs.values()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_seconds)
            self._links.send_all(w.WorkerItem(heartbeat=load_of(self.executor.room, len(self._runs))))
            self._look_at_gates(self._paused.look_again())
            for run in list(self._runs.values()):
                run.resend_overdue()
                run.attempts.tell_slow()
            self.executor.failures.look()

    @property
    def is_crowded(self) -> bool:
        """Half of the room for sagas is taken: those that only wait leave at once."""
        return len(self._runs) * 2 > self._sagas_max

    def receive(self, stream: Stream, item: w.ServerItem) -> None:
        kind = item.WhichOneof("kind")
        if kind == "commit_reply":
            if (run := self._runs.get(_key(item.commit_reply.key))) is not None:
                run.replied(item.commit_reply)
        elif kind == "assign":
            self._assigned(stream, item.assign)
        elif kind == "welcome":
            self._heartbeat_seconds = min(self._heartbeat_seconds, item.welcome.lease_ms / 3000)
            self.clock.told(item.welcome.server, item.welcome.now_ms)
            self._links.welcomed(stream, item.welcome)
            self._look_at_gates(self._paused.told(stream, item.welcome.paused_types))
            self.connected.set()
        elif kind == "cell":
            self._links.learn(stream, item.cell)
        elif kind == "query":
            self._answering.asked(stream, item.query)
        elif kind == "paused_types":
            self._look_at_gates(self._paused.told(stream, item.paused_types.saga_types))
        elif kind == "deliver":
            if (run := self._owned(item.deliver.key, item.deliver.epoch)) is not None:
                run.deliver(item.deliver.message)
        elif kind == "revoke" and (run := self._owned(item.revoke.key, item.revoke.epoch)) is not None:
            run.drop()

    def _look_at_gates(self, is_changed: bool) -> None:
        for run in list(self._runs.values()) if is_changed else ():
            run.look_at_gate()

    def _owned(self, key: h.RunKey, epoch: int) -> ActiveRun | None:
        run = self._runs.get(_key(key))
        return run if run is not None and run.epoch == epoch else None

    def _assigned(self, stream: Stream, assign: w.Assign) -> None:
        if (part := self._parts.pop(key := (*_key(assign.key), assign.epoch), None)) is not None:
            part.more = False
            part.MergeFrom(assign)
            assign = part
        if assign.more:
            self._parts[key] = assign
            return
        saga_type = assign.events[0].saga_started.saga_type
        if (old := self._runs.get(_key(assign.key))) is not None:
            if old.epoch >= assign.epoch:
                return  # two servers gave us the run, and the first of them was slow to say so
            old.drop()
        run = ActiveRun(self, assign, _core_of(self, saga_type, assign.key))
        self._runs[_key(assign.key)] = run
        self._links.assigned(stream, run)
        run.begin(assign)

    async def _drain(self) -> None:
        self._links.send_all(w.WorkerItem(drain=w.Drain()))
        loop = asyncio.get_running_loop()
        until = loop.time() + DRAIN_SECONDS
        while self._runs and loop.time() < until:
            for run in list(self._runs.values()):
                run.give_back()
            await asyncio.sleep(0.05)
        while self._links.has_unsent and loop.time() < until:
            await asyncio.sleep(0.01)  # the last releases leave
        await asyncio.sleep(0.05)


def _core_of(worker: Worker, saga_type: str, key: h.RunKey) -> Core:
    """Of a saga that is not here, what can be told from its journal."""
    definition, limited = worker._definitions.get(saga_type), worker._step_timeout_ms > 0
    why = "" if definition is not None else why_unknown(saga_type)
    definition = definition or unknown(saga_type)
    key, carry = copy_of(key), worker._client.carry
    return Core(definition, key, has_step_timeout=limited, definitions=worker.catalogue, why=why, carry=carry)


async def _until_stopped(is_stopping: asyncio.Event, *tasks: asyncio.Task[None]) -> None:
    """Raises what ended one of them for good, such as a journal with weak settings."""
    stopping = asyncio.create_task(is_stopping.wait())
    try:
        await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
    for task in tasks:
        if task.done():
            task.result()


def copy_of(key: h.RunKey) -> h.RunKey:
    """A part of a message keeps the memory of all of it: of every run that came in the same frame, with its history."""
    copy = h.RunKey()
    copy.CopyFrom(key)
    return copy


def _key(key: h.RunKey) -> _Key:
    return key.namespace, key.saga, key.run


def _by_name(sagas: Sequence[AnySaga]) -> dict[str, SagaDefinition]:
    """Raises ValueError for two sagas of one name, TypeError for what is no saga, DefinitionError."""
    found: dict[str, SagaDefinition] = {}
    for one in sagas:
        definition = function_of(one).definition
        if found.setdefault(definition.name, definition) is not definition:
            raise ValueError(f"two sagas are named {definition.name!r}: give one of them another name")
    return found
