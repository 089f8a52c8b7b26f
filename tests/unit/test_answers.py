"""Answers of another thread: in their order, several in one wake-up of the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import TypeVarTuple

import pytest

pytest.importorskip("cassandra")

from durable_saga_server.journal.cassandra.answers import Answers

Ts = TypeVarTuple("Ts")


class Loop(asyncio.SelectorEventLoop):
    """Counts how often another thread wakes it."""

    wakes = 0

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self.wakes += 1
        return super().call_soon_threadsafe(callback, *args, context=context)


def test_answers_that_come_before_the_loop_takes_them_share_a_wake_up_and_keep_their_order() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        answers, done = Answers(loop), list[int]()
        futures = [answers.expect() for _ in range(5)]
        for number, future in enumerate(futures):
            future.add_done_callback(partial(_note, done, number))
        futures[1].cancel()
        problem = OSError("gone")

        def tell() -> None:
            for number, future in enumerate(futures):
                answers.tell(future, problem if number == 3 else ([(number,)], ["n"]))

        thread = threading.Thread(target=tell)
        thread.start()
        thread.join()  # the loop stands still meanwhile
        found = await asyncio.gather(*futures, return_exceptions=True)
        assert [found[0], found[3], found[4]] == [([(0,)], ["n"]), problem, ([(4,)], ["n"])]
        assert done == [1, 0, 2, 3, 4]
        assert loop.wakes == 1
        last = answers.expect()
        answers.tell(last, ([], []))
        assert await last == ([], [])
        assert loop.wakes == 2

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(scenario())


def _note(done: list[int], number: int, _: object) -> None:
    done.append(number)


def test_an_answer_for_a_loop_that_is_closed_is_dropped() -> None:
    loop = asyncio.new_event_loop()
    answers = Answers(loop)
    future = answers.expect()
    loop.close()
    answers.tell(future, ([], []))
    assert not future.done()
