"""Asks queries in this process: fetches what the replay needs, opens it, and looks in a thread, some at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from durable_saga.errors import CannotOpen, ClientError, NotAnswered
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.payloads import missing_in
from durable_saga.queries.looking import Answer, Question, look, said
from durable_saga.sealing.messages import Kept, Sealing, open_assigned
from durable_saga.transport.fetching import Fetch, fill, needed

QUERIES_AT_ONCE_MAX = 2
"""Replays in the threads of one client or worker; others wait."""


class Asking:
    """Of one client or worker. `ask()` raises nothing but what cancels it."""

    def __init__(self, fetch: Fetch, sealing: Sealing | None) -> None:
        self._fetch, self._sealing = fetch, sealing
        self._room = asyncio.Semaphore(QUERIES_AT_ONCE_MAX)

    async def ask(self, question: Question, assign: w.Assign, seconds: float) -> Answer:
        """`assign` has the key and the whole history of the run. It is changed."""
        loop = asyncio.get_running_loop()
        until, kept = loop.time() + seconds, Kept()
        wanted = needed(assign)
        while True:
            try:
                await fill(assign.key, wanted, self._fetch)
                open_assigned(self._sealing, assign, kept)
            except (ClientError, CannotOpen) as error:
                return Answer(error=NotAnswered(f"the history of saga {assign.key.saga!r} can't be read: {error}"))
            except Exception as error:  # what a codec raises
                return Answer(
                    error=NotAnswered(f"the history of saga {assign.key.saga!r} can't be opened: {type(error).__name__}")
                )
            answer = await self._look(question, assign, until)
            wanted = missing_in(assign) if answer.wants_all else []
            if not wanted:
                return answer

    async def _look(self, question: Question, assign: w.Assign, until: float) -> Answer:
        loop = asyncio.get_running_loop()
        await self._room.acquire()
        seconds = until - loop.time()
        if seconds <= 0:
            self._room.release()
            return Answer(error=NotAnswered("other queries took all of its time"))
        answered: asyncio.Future[Answer] = loop.create_future()
        thread = threading.Thread(
            target=_run, name="saga-query", daemon=True,
            args=(loop, partial(look, question, assign.key, assign.events, seconds), partial(self._done, answered)),
        )  # fmt: skip
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more threads
            self._room.release()
            return Answer(error=NotAnswered(f"no thread can be had for it: {error}"))
        return await answered

    def _done(self, answered: asyncio.Future[Answer], answer: Answer) -> None:
        """Also when nobody waits any more."""
        self._room.release()
        if not answered.done():
            answered.set_result(answer)


def _run(loop: asyncio.AbstractEventLoop, work: Callable[[], Answer], done: Callable[[Answer], Any]) -> None:
    try:
        answer = work()
    except BaseException as error:  # whatever it is, it ends this query alone: who waits is told, and its room is free again
        answer = Answer(error=NotAnswered(said(error)))
    try:
        loop.call_soon_threadsafe(done, answer)
    except RuntimeError:
        pass  # the loop is closed: nobody wants to know
