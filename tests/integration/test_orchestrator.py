"""Manager, orchestrator, event bus and monitor: the lines R1 to R9 for a service that embeds the engine."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from durable_saga import EventBus, Retry, Saga, SagaManager, SagaMonitor, SagaOrchestrator, Step, saga, signal, step
from durable_saga import scope as saga_scope
from durable_saga.errors import AlreadyEnded, DefinitionError, NotFound, SagaCompensated, UnsupportedOperation
from tests.integration import features as f
from tests.integration import sagas as s
from tests.integration.stage import CASSANDRA, cassandra_url, new_name

Play = Callable[[Callable[[SagaManager], Awaitable[None]]], None]


@pytest.fixture(params=["memory", "sqlite", CASSANDRA])
def journal(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    if request.param == "memory":
        return "memory:"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/orders.db"
    return cassandra_url(request.getfixturevalue("cassandra"))


def play(journal: str, scenario: Callable[[SagaManager], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with SagaManager(journal, strict=False, namespace=new_name(), **options) as manager:
            await asyncio.wait_for(scenario(manager), 60)

    s.WORLD.clear()
    s.FAILURES.clear()
    asyncio.run(run())


def test_r1_tables_are_made_once_by_several_managers_at_the_same_time(request: pytest.FixtureRequest, journal: str) -> None:
    if journal.startswith("cassandra"):
        journal = cassandra_url(request.getfixturevalue("cassandra"), new_name())

    async def run() -> None:
        managers = [SagaManager(journal, strict=False) for _ in range(4)]
        await asyncio.gather(*(manager.initialize() for manager in managers))
        await managers[0].initialize()
        for manager in managers:
            await manager.close()

    asyncio.run(run())


def test_r1_tables_is_for_a_keyspace_that_is_shared(request: pytest.FixtureRequest, journal: str) -> None:
    if not journal.startswith("cassandra"):
        with pytest.raises(ValueError, match="use another"):
            SagaManager(journal, tables="shop_")
        return

    async def scenario(manager: SagaManager) -> None:
        async with SagaOrchestrator(manager) as orchestrator:
            orchestrator.register(f.Chain)
            saga_id = await orchestrator.start("chain_of_three", {})
            await orchestrator.result(saga_id)
            other = SagaManager(journal, strict=False, namespace=manager.client.namespace)
            await other.initialize()
            with pytest.raises(NotFound):
                await other.get_saga(saga_id)
            await other.close()

    play(journal, scenario, tables="shop_")


@step
def fails_thrice(name: str) -> str:
    s.FAILURES[name] = s.FAILURES.get(name, 0) + 1
    if s.FAILURES[name] <= 3:
        raise ConnectionError(f"attempt {s.FAILURES[name]}")
    return f"attempt {s.FAILURES[name]}"


@saga
async def without_policy(name: str) -> str:
    return await fails_thrice(name)


@saga
async def waits_for_ever() -> None:
    await signal("never")


def test_r2_default_timeout_and_retry_come_from_the_manager(journal: str) -> None:
    async def scenario(manager: SagaManager) -> None:
        async with SagaOrchestrator(manager) as orchestrator:
            orchestrator.register(without_policy)
            orchestrator.register(waits_for_ever)
            assert await orchestrator.result(await orchestrator.start("without_policy", "x")) == "attempt 4"
            with pytest.raises(Exception, match="SagaTimedOut"):
                await orchestrator.result(await orchestrator.start(waits_for_ever))

    play(journal, scenario, timeout=1.5, retry=Retry(max_attempts=4, backoff="exponential", initial=0.01))


@step(retry=s.ONCE)
async def busy(number: int) -> None:
    s.WORLD.append(f"begin {number}")
    while not s.FAILURES.get("go on"):
        await asyncio.sleep(0.01)


@saga
async def works(number: int) -> None:
    await busy(number)


def test_r3_what_is_beyond_the_limit_waits_durably_and_in_order(journal: str) -> None:
    async def scenario(manager: SagaManager) -> None:
        async with SagaOrchestrator(manager, max_concurrent_sagas=3, heartbeat_interval=30, state_check_interval=60) as one:
            one.register(works)
            ids = [await one.start("works", number) for number in range(9)]
            await asyncio.sleep(0.5)
            assert sorted(s.WORLD) == ["begin 0", "begin 1", "begin 2"]
            assert (await manager.get_saga(ids[8])).status == "running"
            s.FAILURES["go on"] = 1
            for saga_id in ids:
                await one.result(saga_id)
            begun = [int(line.removeprefix("begin ")) for line in s.WORLD]
            assert sorted(begun) == list(range(9))
            # Handed out in order; those that get free places together may begin within each other's few milliseconds.
            assert all(abs(place - number) < 3 for place, number in enumerate(begun)), begun

    play(journal, scenario)


def test_r4_names_are_checked_and_an_id_starts_once(journal: str) -> None:
    async def scenario(manager: SagaManager) -> None:
        orchestrator = SagaOrchestrator(manager)
        orchestrator.register(f.Chain)
        with pytest.raises(UnsupportedOperation, match="isn't running"):
            await orchestrator.start("chain_of_three", {})
        async with orchestrator:
            with pytest.raises(NotFound, match="no saga 'chain' is registered, only chain_of_three"):
                await orchestrator.start("chain", {})
            first = await orchestrator.start("chain_of_three", {}, id="once")
            again = await orchestrator.start("chain_of_three", {}, id="once")
            assert first == again == "once"
            await orchestrator.result(first)
            assert s.WORLD == ["do one", "do two", "do three"]
            orchestrator.register(f.Hooked)  # later, while it runs
            with pytest.raises(SagaCompensated):
                await orchestrator.result(await orchestrator.start("hooked", {}))

    play(journal, scenario)


def test_r6_r7_recover_and_compensate_through_the_orchestrator(journal: str) -> None:
    async def scenario(manager: SagaManager) -> None:
        async with SagaOrchestrator(manager) as orchestrator:
            orchestrator.register(f.held)
            saga_id = await orchestrator.start("held", 1)
            while not (found := await orchestrator.get_saga(saga_id)).can_recover():
                await asyncio.sleep(0.02)
            assert found.error is not None
            await orchestrator.recover(saga_id)
            assert await orchestrator.result(saga_id) == ["booked first", "second"]
            with pytest.raises(AlreadyEnded):
                await orchestrator.compensate(saga_id)

    play(journal, scenario)


def test_e3_the_bus_reads_the_id_from_the_data(journal: str) -> None:
    async def scenario(manager: SagaManager) -> None:
        bus = EventBus(manager)
        async with SagaOrchestrator(manager) as orchestrator:
            orchestrator.register(f.Approval)
            saga_id = await orchestrator.start("approval_table", {})
            data = {"saga_id": saga_id, "approval_id": "approval_123", "approved": True}
            assert await bus.publish("approval_received", data) == 1
            assert (await orchestrator.result(saga_id))["complete"] == data

    play(journal, scenario)


def test_r8_each_occurrence_is_told_once_per_group_after_a_restart_too(journal: str) -> None:
    async def scenario(manager: SagaManager) -> None:
        told: list[tuple[str, Any]] = []

        def watching(group: str) -> SagaMonitor:
            monitor = SagaMonitor(manager, timeout_threshold=0.5, failure_threshold=2, group=group)
            monitor.on("saga_failed")(lambda saga_id, error: told.append((f"{group} failed", saga_id)))
            monitor.on("saga_stuck")(lambda saga_id, error: told.append((f"{group} stuck", saga_id)))
            monitor.on("saga_timeout")(lambda saga_id: told.append((f"{group} timeout", saga_id)))
            monitor.on("failure_threshold")(lambda kind, count: told.append((f"{group} many", (kind, count))))
            return monitor

        async with SagaOrchestrator(manager) as orchestrator:
            for one in (f.Chain, s.stuck_saga, waits_for_ever):
                orchestrator.register(one)
            for number in range(2):
                await orchestrator.start("chain_of_three", {"fails": "three"}, id=f"failed-{number}")
            await orchestrator.start("stuck_saga", "lamp", id="stuck")
            await orchestrator.start("waits_for_ever", id="late")
            for saga_id in ("failed-0", "failed-1", "stuck"):
                with pytest.raises(Exception, match=saga_id):
                    await orchestrator.result(saga_id)
            await asyncio.sleep(0.7)
            first = watching("a")
            assert await first.check() == len(told)
            expected = [
                ("a failed", "failed-0"), ("a failed", "failed-1"), ("a stuck", "stuck"), ("a many", ("chain_of_three", 2)),
                ("a timeout", "late"), ("a timeout", "stuck"),
            ]  # fmt: skip
            assert sorted(told, key=str) == sorted(expected, key=str)
            assert await first.check() == 0
            assert await watching("a").check() == 0, "after a restart"
            assert await watching("b").check() == len(expected), "another group has its own"
            assert (await first.statistics()).stuck == 1

    play(journal, scenario)


def test_r8_a_handler_that_fails_is_not_forgotten(journal: str) -> None:
    async def scenario(manager: SagaManager) -> None:
        monitor = SagaMonitor(manager, check_interval=0.05)
        calls: list[str] = []

        @monitor.on("saga_failed")
        async def handler(saga_id: str, error: str) -> None:
            calls.append(error)
            raise RuntimeError("the pager is down")

        async with SagaOrchestrator(manager) as orchestrator, monitor:
            orchestrator.register(f.Chain)
            with pytest.raises(SagaCompensated):
                await orchestrator.result(await orchestrator.start("chain_of_three", {"fails": "two"}))
            while not calls:
                await asyncio.sleep(0.02)
            assert "two refused" in calls[0]
            assert len(monitor._again) == 1, "its claim runs out, then it is told again"
        with pytest.raises(ValueError, match="no event 'saga_fails'"):
            monitor.on("saga_fails")

    play(journal, scenario)


def test_r8_what_a_monitor_claimed_that_died_is_told_by_another_of_its_group(
    journal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable_saga.manager.monitor.CLAIM_MS", 3_000)
    monkeypatch.setattr("durable_saga.manager.monitor.CLAIM_OVER_MS", 100)

    async def scenario(manager: SagaManager) -> None:
        dying, other, third = (SagaMonitor(manager) for _ in range(3))
        told, claimed = list[str](), asyncio.Event()

        @dying.on("saga_failed")
        async def never(saga_id: str, error: str) -> None:
            claimed.set()
            await asyncio.Event().wait()

        other.on("saga_failed")(lambda saga_id, error: told.append(saga_id))
        third.on("saga_failed")(lambda saga_id, error: told.append(saga_id))
        async with SagaOrchestrator(manager) as orchestrator:
            orchestrator.register(f.Chain)
            saga_id = await orchestrator.start("chain_of_three", {"fails": "two"})
            with pytest.raises(SagaCompensated):
                await orchestrator.result(saga_id)
            checking = asyncio.create_task(dying.check())
            await claimed.wait()
            checking.cancel()
            assert [await other.check(), await third.check()] == [0, 0], "it is claimed"
            await asyncio.sleep(3.3)
            assert [await other.check(), await third.check(), told] == [1, 0, [saga_id]]
            assert (third._again, [*third._known]) == ({}, [*other._known]), "it was told: nobody asks once more"

    play(journal, scenario)


@step
async def book(scope: bool) -> None:
    s.WORLD.append("book")


@book.compensation(retry=Retry(max_attempts=100, initial=0.02, factor=1.0, jitter=0))
async def unbook(scope: bool) -> None:
    if not s.FAILURES.get("the desk is open"):
        raise ConnectionError("the desk is closed")


@saga
async def trip(scope: bool) -> None:
    if not scope:
        await book(scope)
        raise ValueError("no seats")
    try:
        async with saga_scope():
            await book(scope)
            raise ValueError("no seats")
    except ValueError:
        return


@pytest.mark.parametrize("scope", [False, True], ids=["unwinding", "running"])
def test_r8_a_compensation_that_fails_for_long_is_told_once(journal: str, scope: bool) -> None:
    async def scenario(manager: SagaManager) -> None:
        monitor = SagaMonitor(manager, compensation_threshold=0.2)
        told: list[tuple[str, ...]] = []
        monitor.on("compensation_failing")(lambda *what: told.append(what))
        async with SagaOrchestrator(manager) as orchestrator:
            orchestrator.register(trip)
            saga_id = await orchestrator.start("trip", scope)
            async with asyncio.timeout(20):
                while not told:
                    await asyncio.sleep(0.05)
                    await monitor.check()
            await monitor.check()
            assert told == [(saga_id, "unbook", "builtins.ConnectionError: the desk is closed")]
            s.FAILURES["the desk is open"] = 1
            if scope:
                assert await orchestrator.result(saga_id) is None
            else:
                with pytest.raises(SagaCompensated, match="what it had done was undone: book\n"):
                    await orchestrator.result(saga_id)
            assert await SagaMonitor(manager, group="later").check() == 0

    play(journal, scenario)


class Circle(Saga):
    name = "circle"

    def define(self) -> list[Step]:
        return [Step("a", self.act, depends_on=["b"]), Step("b", self.act, depends_on=["a"])]

    def act(self, context: Any) -> None: ...


class Unknown(Circle):
    name = "unknown"

    def define(self) -> list[Step]:
        return [Step("first", self.act), Step("second", self.act, depends_on=["frist"])]


class Twice(Circle):
    name = "twice"

    def define(self) -> list[Step]:
        return [Step("a", self.act), Step("a", self.act)]


class BadUndo(Circle):
    name = "bad_undo"

    def define(self) -> list[Step]:
        return [Step("a", self.act, compensation=lambda: None)]


class Negative(Circle):
    name = "negative"

    def define(self) -> list[Step]:
        return [Step("a", self.act, timeout=-1)]


class BadOrder(Circle):
    name = "bad_order"

    def define(self) -> list[Step]:
        return [Step("a", self.act)]

    def compensation_order(self) -> list[str]:
        return ["b"]


class NegativeSaga(Circle):
    name = "negative_saga"
    timeout = -5

    def define(self) -> list[Step]:
        return [Step("a", self.act)]


class NoCondition(Circle):
    name = "no_condition"

    def define(self) -> list[Step]:
        return [Step("a", self.act, self.act, compensation_strategy="conditional")]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Circle, "depend on each other in a circle: a -> b -> a"),
        (Unknown, "did you mean 'first'"),
        (Twice, "defined twice, first at"),
        (BadUndo, r"compensation of step 'a' takes \(\); it is called with \(context\)"),
        (Negative, "timeout is -1, and it can't be negative"),
        (NegativeSaga, "timeout is -5, and it can't be negative"),
        (BadOrder, "compensation_order.. names 'b', which isn't a step"),
        (NoCondition, "go together"),
    ],
)
def test_d5_a_wrong_table_is_an_error_with_file_and_line_before_anything_starts(wrong: type[Saga], words: str) -> None:
    orchestrator = SagaOrchestrator(SagaManager("memory:"))
    with pytest.raises(DefinitionError, match=words) as caught:
        orchestrator.register(wrong)
    assert "test_orchestrator.py:" in str(caught.value)
