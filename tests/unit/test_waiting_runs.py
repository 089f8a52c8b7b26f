"""The queue of runs that can go on: what has begun comes first, the others come in the order of their starts."""

from __future__ import annotations

import asyncio

from durable_saga_server.journal import Run
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.service import HistoryService
from durable_saga_server.workers.waiting import BEGUN, Kind, Waiting, WaitingRuns
from hypothesis import given
from hypothesis import strategies as st

from durable_saga import Worker, saga
from durable_saga.client.client import Client
from durable_saga.transport.transport import LocalTransport

KIND = Kind("default", "order")
SAGAS = 40


def run(number: int) -> Run:
    return Run("default", f"order-{number}")


def drained(queue: WaitingRuns) -> list[tuple[Run, bool]]:
    found = []
    while (first := queue.first(KIND)) is not None:
        found.append((first[0], queue.take(first[0]).orphan))
    assert len(queue) == 0
    assert not queue.kinds()
    return found


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans(), st.booleans()), max_size=40))
def test_the_order_is_that_of_the_starts_whoever_brings_them_and_how_often(brought: list[tuple[int, bool, bool]]) -> None:
    queue = WaitingRuns()
    for number, has_begun, orphan in brought:
        queue.add(run(number), KIND, BEGUN if has_begun else 100 + number, orphan=orphan)
    begun = list(dict.fromkeys(number for number, has_begun, _ in brought if has_begun))
    fresh = sorted({number for number, _, _ in brought} - set(begun))
    orphans = {number for number, _, orphan in brought if orphan}
    found = drained(queue)
    assert [one for one, _ in found[len(begun) :]] == [run(number) for number in fresh]
    assert {one for one, _ in found[: len(begun)]} == {run(number) for number in begun}
    assert {one for one, orphan in found if orphan} == {run(number) for number in orphans}


def test_one_that_was_taken_and_comes_again_has_no_second_place() -> None:
    queue = WaitingRuns()
    for number in (1, 2):
        queue.add(run(number), KIND, number, orphan=False)
    assert not queue.take(run(2)).orphan
    queue.add(run(2), KIND, BEGUN, orphan=True)
    assert drained(queue) == [(run(2), True), (run(1), False)]


def test_one_that_is_refused_meanwhile_changes_its_queue_and_keeps_its_place() -> None:
    queue = WaitingRuns()
    refused = KIND._replace(refused=frozenset({"b2"}))
    for number in (1, 2, 3):
        queue.add(run(number), KIND, number, orphan=number == 1, build="b1")
    queue.add(run(1), refused, 5, orphan=False)
    queue.add(run(3), refused, 5, orphan=False)
    assert queue.kinds() == [KIND, refused]
    assert queue.first(refused) == (run(1), Waiting(1, True, "b1"))
    assert [queue.take(run(1)).place, queue.take(run(3)).place] == [1, 3]
    assert drained(queue) == [(run(2), False)]


def test_a_server_that_comes_up_again_hands_out_in_the_order_of_the_starts() -> None:
    begun: list[int] = []

    @saga(name="order")
    async def order(number: int) -> None:
        begun.append(number)

    async def scenario() -> None:
        journal = MemoryJournal()
        first = HistoryService(journal)
        await first.start_up()
        client = Client(LocalTransport(first))
        numbers = [*range(1, SAGAS, 2), *range(0, SAGAS, 2)]  # ids that sort otherwise than the starts
        for number in numbers:
            await client.start(order, number, id=f"order-{number}")
            await asyncio.sleep(0.002)  # starts within one millisecond have no order
        await first.shut_down()
        second = HistoryService(journal)
        await second.start_up()
        client = Client(LocalTransport(second))
        async with Worker(client, sagas=[order], sagas_max=1):
            await client.handle("order-0").result()
            await client.start(order, SAGAS, id="newest")
            for number in range(SAGAS):
                await client.handle(f"order-{number}").result()
            await client.handle("newest").result()
        await second.shut_down()
        assert begun == [*numbers, SAGAS]

    asyncio.run(scenario())


def test_runs_of_paused_types_are_counted_apart() -> None:
    waiting = WaitingRuns()
    for number in range(5):
        waiting.add(Run("n", f"p{number}"), Kind("n", "paused"), BEGUN, orphan=False)
    waiting.add(Run("n", "q"), Kind("n", "paused", frozenset({"b"})), BEGUN, orphan=False)
    waiting.add(Run("n", "r"), Kind("n", "other"), BEGUN, orphan=False)
    assert waiting.length_of("n", {"paused": None}) == 6
    assert waiting.length_of("m", {"paused": None}) == 0
