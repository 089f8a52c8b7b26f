"""Tests of sagas without a server: the real core, a journal in a list, virtual time. A saga that waits a day takes
milliseconds; a step runs as it is, or as its mock.

    result = await SagaTestRunner().run(place_order, order)
    assert result.status == "completed"
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from datetime import timedelta
from typing import Any

from durable_saga import codec
from durable_saga.authoring.event_type import EventType
from durable_saga.client.overview import overview_of
from durable_saga.declared.compiled import function_of
from durable_saga.declared.declarative import AnySaga
from durable_saga.definition.definition import SagaDefinition, version_of
from durable_saga.definition.retry import to_ms
from durable_saga.definition.starting import check_start
from durable_saga.errors import InvalidArgument
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.recorded import is_sealed, read_history
from durable_saga.replay import Core
from durable_saga.testing.driver import START_MS, Driver, Message
from durable_saga.testing.explore import Exploration, explore
from durable_saga.testing.faults import NO_FAULTS, Faults
from durable_saga.testing.mocks import check_name, find_service, mocked, names_of
from durable_saga.testing.performing import Performer
from durable_saga.testing.results import SagaResult
from durable_saga.worker.lifespan import WorkerLifespan, checked, opened
from durable_saga.worker.watched_core import WatchedCore


@dataclass
class SagaTestRunner:
    """Runs sagas in tests, one after the other. Mocks and events stay until `reset()`. `converters` are those of `Client`,
    and `lifespans` those of `Worker`, which are open for each run, and for an exploration as a whole. `version`: at which
    version of its code each saga begins, as `since()` tells; None: at that of the definition."""

    converters: InitVar[codec.Converters | None] = None
    lifespans: Sequence[WorkerLifespan] = ()
    version: int | None = None
    _step_mocks: dict[str, Callable[..., Any]] = field(default_factory=dict)
    _services: list[tuple[str, dict[str, Callable[..., Any]]]] = field(default_factory=list)
    _messages: list[Message] = field(default_factory=list)

    def __post_init__(self, converters: codec.Converters | None) -> None:
        codec.register(converters or {})
        self.lifespans = checked(self.lifespans)
        if self.version is not None:
            version_of(self.version, "SagaTestRunner()")

    def mock_step(self, name: str, mock: Callable[..., Any]) -> None:
        """Call this instead of a step or compensation, with its arguments: `returns(...)`, `fails(...)` or a function, async
        or plain. The run raises UnknownName if the saga has no such step."""
        self._step_mocks[name] = mock

    def mock_service(self, service: str, /, **methods: Callable[..., Any]) -> None:
        """Replace methods of a service during a run. The service is an object that the saga's module, or the table, knows by
        this name. The run raises UnknownName if there is no such name."""
        self._services.append((service, methods))

    def publish(self, event: str | EventType[Any], *args: Any, after: float | timedelta | None = None) -> None:
        """Let an event or signal reach the saga, when the saga waits for nothing else, or `after` this much virtual time.
        Raises InvalidArgument for a value that does not have the event's type."""
        if isinstance(event, EventType):
            event.encoded(args)
            event = event.name
        at_ms = 0 if after is None else START_MS + to_ms(after, name="after")
        self._messages.append(Message(event, args, at_ms))

    def reset(self) -> None:
        """Forget all mocks, and the events that were published."""
        self._step_mocks.clear()
        self._services.clear()
        self._messages.clear()

    async def run(self, saga: AnySaga, *args: Any, **kwargs: Any) -> SagaResult:
        """Run the saga and return a SagaResult. Raises NonDeterminism and the like for a saga that can't be replayed, Stalled
        for one without end, UnknownName, InvalidArgument for an argument that does not have its parameter's type, and
        DefinitionError."""
        return await self.run_with(NO_FAULTS, saga, *args, **kwargs)

    async def run_with(self, faults: Faults, saga: AnySaga, /, *args: Any, **kwargs: Any) -> SagaResult:
        """Run the saga with these faults, to repeat a schedule that `explore` found."""
        async with opened(self.lifespans):
            result = await self._run(faults, saga, args, kwargs)
        result.replay()
        return result

    async def _run(self, faults: Faults, saga: AnySaga, args: tuple[Any, ...], kwargs: dict[str, Any]) -> SagaResult:
        definition = _fits(saga, args, kwargs)
        there = names_of(saga)
        for name in self._step_mocks:
            check_name(name, there, "step")
        performer = Performer(self._step_mocks, dict(faults.mishaps))
        driver = Driver(definition, args, kwargs, faults, messages=self._messages, version=self._version_of(definition))
        with self._mocked_services(saga):
            try:
                await performer.drive(driver)
            finally:
                driver.watched.discard()
        if driver.core.forward.cannot_start is not None:
            raise driver.core.forward.cannot_start
        return _result(driver)

    def _version_of(self, definition: SagaDefinition) -> int:
        if self.version is not None and self.version > definition.version:
            raise InvalidArgument(
                f"SagaTestRunner(version={self.version}): saga {definition.name} has version {definition.version}, and no run"
                " of it begins at a later one"
            )
        return self.version or 0

    def replay(self, saga: AnySaga, history: SagaResult | str | os.PathLike[str]) -> None:
        """Run today's code of the saga over a history: of a run in a test, perhaps of other code, or of a recorded file
        (`durable-saga rehearse --record FOLDER`, `durable-saga history ID --raw FILE`). Raises NonDeterminism and the like
        when the code asks for something else, InvalidArgument for a file that is no history of this saga, and OSError."""
        definition = function_of(saga).definition
        events = history._events if isinstance(history, SagaResult) else _recorded(history, definition)
        core = Core(definition, h.RunKey(namespace="test", saga="saga", run=1))
        watched = WatchedCore(core)
        try:
            watched.replay(events)
            if core.forward.cannot_start is not None:
                raise core.forward.cannot_start
        finally:
            watched.discard()

    async def explore(
        self, saga: AnySaga, /, *args: Any, invariant: Callable[..., Any], setup: Callable[[], Any] | None = None,
        schedules_max: int | None = None, say: Callable[[str], None] | None = None, **kwargs: Any,
    ) -> Exploration:  # fmt: skip
        """Run the saga with a crash at every position of its journal, every step failing before and after its effect, every
        compensation failing, a cancel at every position, and with pairs of these faults if the first one leads to an unwind.

        `setup()` builds the world again before each run. `invariant(world, result)`, or `invariant(result)` without a setup,
        reports a broken state by AssertionError or by returning False; it may be async. Raises ScheduleFailed with the
        shortest schedule that breaks the invariant, in words. `say` is called with the progress. At most `schedules_max` runs
        are made (SCHEDULES_MAX)."""

        _fits(saga, args, kwargs)

        async def run(faults: Faults) -> SagaResult:
            return await self._run(faults, saga, args, kwargs)

        async with opened(self.lifespans):
            return await explore(run, invariant=invariant, setup=setup, schedules_max=schedules_max, say=say)

    @contextmanager
    def _mocked_services(self, saga: AnySaga) -> Iterator[None]:
        replaced: list[tuple[Any, str, Any, bool]] = []
        try:
            for service, methods in self._services:
                found = find_service(saga, service)
                for name, mock in methods.items():
                    check_name(name, {one for one in dir(found) if not one.startswith("_")}, f"method of {service}")
                    own = name in getattr(found, "__dict__", {})
                    replaced.append((found, name, getattr(found, name), own))
                    setattr(found, name, mocked(getattr(found, name), mock))
            yield
        finally:
            for found, name, original, own in reversed(replaced):
                setattr(found, name, original) if own else delattr(found, name)


def _fits(saga: AnySaga, args: tuple[Any, ...], kwargs: dict[str, Any]) -> SagaDefinition:
    """Raises DefinitionError for the saga, and for arguments what `client.start()` raises."""
    definition = function_of(saga).definition
    check_start(definition, args, kwargs)
    return definition


def _recorded(path: str | os.PathLike[str], definition: SagaDefinition) -> list[h.Event]:
    events = read_history(path)
    if is_sealed(events):
        raise InvalidArgument(f"the values in {path} are sealed: write it again, with --codec")
    if (found := events[0].saga_started.saga_type) != definition.name:
        raise InvalidArgument(f"{path} is the history of {found}, and not of {definition.name}")
    return events


def _result(driver: Driver) -> SagaResult:
    from durable_saga_server.history.view import fold  # pure: the same words as a server's

    ended_ms = driver.journal[-1].time_ms
    description = c.Description(
        key=h.RunKey(namespace="test", saga="saga", run=1), saga_type=driver.definition.name, status=driver.status,
        next_seq=len(driver.journal), started_ms=START_MS, updated_ms=ended_ms,
        ended_ms=ended_ms if driver.core.ended else 0,
    )  # fmt: skip
    fold(driver.journal, description)
    value = None
    if description.result.data:
        value = codec.decode(description.result.data, driver.definition.result_type, where="result")
    elapsed = timedelta(milliseconds=driver.now_ms - START_MS)
    overview = overview_of(description)
    again = functools.partial(_replay, driver)
    return SagaResult(overview, value, driver.journal, driver.effects, elapsed, driver.commits, again)


def _replay(driver: Driver) -> None:
    core = Core(driver.definition, h.RunKey(namespace="test", saga="saga", run=1))
    watched = WatchedCore(core)
    try:
        watched.replay(driver.journal)
    finally:
        watched.discard()
