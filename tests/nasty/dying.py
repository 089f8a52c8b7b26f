"""Entries that would take their worker with them (L3). This module imports no libraries: its workers are started often."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from typing import Any

from durable_saga import Retry, event, saga, sleep, step
from tests.nasty import ledger
from tests.nasty.entry import Table
from tests.nasty.steps import book, book_plain, slow

TABLE = Table()
entry = TABLE.entry
DIES = "it ends its process"
HANG_SECONDS = 25.0
LOOPS = "no time-out of a test can end it while it is a fault"
log = logging.getLogger(__name__)


@saga
async def neighbour() -> int:
    """What any saga may expect of the worker that it shares with those here."""
    for number in range(4):
        await book(f"n{number}")
        await book_plain(f"p{number}")
        await sleep(0.05)
    return 4


TABLE.sagas.append(neighbour)

# --- steps that end their process ------------------------------------------------------------------------


def _dies(label: str, how: str) -> str:
    ledger.note("begins", label)
    ledger.note("done", label)
    if how == "kill":
        os.kill(os.getpid(), 9)
    elif how == "exit":
        os._exit(9)
    elif how == "abort":
        os.abort()
    return "alive"


async def _dies_async(label: str, how: str) -> str:
    return _dies(label, how)


async def _undo_dying(label: str, how: str, result: str | None) -> None:
    ledger.note("undone", label, result)


_OFTEN = Retry(max_attempts=3, initial=0.1)
dies = step(name="dies", retry=_OFTEN)(_dies_async)
dies.compensation(_undo_dying)
dies_plain = step(name="dies_plain", retry=_OFTEN)(_dies)
dies_plain.compensation(_undo_dying)
dies_once = step(name="dies_once", at_most_once=True)(_dies_async)
dies_once.compensation(_undo_dying)


_DIES: dict[str, Any] = {"worker": "dies", "runner": DIES, "kills": DIES, "attempts": 1}


@entry("a step that ends its process", status="compensated", undone="first card", error="StepInterrupted", **_DIES)
async def _exits() -> None:
    await book("first")
    await dies("card", "exit")


@entry("a plain step that is killed", status="compensated", undone="first card", error="StepInterrupted", **_DIES)
async def _killed() -> None:
    await book("first")
    await dies_plain("card", "kill")


@entry(
    "an at_most_once step that ends its process", status="compensated", undone="first card", error="StepInterrupted", **_DIES
)
async def _once() -> None:
    await book("first")
    await dies_once("card", "exit")


# --- exits that are exceptions ---------------------------------------------------------------------------


@step(retry=Retry(max_attempts=2, initial=0.01))
async def exits(label: str) -> None:
    ledger.note("begins", label)
    ledger.note("done", label)
    sys.exit(3)


@exits.compensation
async def unexit(label: str) -> None:
    ledger.note("undone", label)


@entry("a step that calls sys.exit twice", status="compensated", undone="first card", attempts=2)
async def _sys_exit() -> None:
    await book("first")
    await exits("card")


# --- loops -----------------------------------------------------------------------------------------------


_FREEZES: dict[str, Any] = {"worker": "freezes", "runner": LOOPS, "kills": "it is held to this without kills"}
_GIVEN_UP: dict[str, Any] = {"status": "blocked", "words": "dying.py", **_FREEZES}


@entry("a loop that swallows everything", **_GIVEN_UP)
async def _listener() -> None:
    await book("first")
    while True:
        try:
            await event("job")
        except BaseException:
            log.debug("job failed, going on")


@entry("a bare except around a sleep", **_GIVEN_UP)
async def _bare() -> None:
    await book("first")
    while True:
        try:
            await asyncio.sleep(3600)
        except:  # noqa: E722  the mistake
            pass


@entry("code that never yields", **_GIVEN_UP)
async def _endless() -> None:
    await book("first")
    while True:
        pass


@entry("a callback that calls itself for ever", **_GIVEN_UP)
async def _callbacks() -> None:
    await book("first")

    def again() -> None:
        asyncio.get_running_loop().call_soon(again)

    again()
    await event("never")


@entry("a loop of sleep(0)", **_GIVEN_UP)
async def _zero() -> None:
    await book("first")
    while True:
        await asyncio.sleep(0)


# --- threads ---------------------------------------------------------------------------------------------


@step(retry=Retry(max_attempts=1), timeout=0.3)
def hangs(label: str) -> None:
    ledger.note("begins", label)
    threading.Event().wait(HANG_SECONDS)
    ledger.note("woke", label)


@hangs.compensation
def unhang(label: str) -> None:
    ledger.note("undone", label)


def _hanging(number: int) -> None:
    @entry(f"a hung thread {number}", status="compensated", undone="first card", error="StepTimedOut", worker="freezes",
           runner="it would wait for the thread", kills="a thread hangs for HANG_SECONDS")  # fmt: skip
    async def _hangs() -> None:
        await book("first")
        await hangs("card")


for _number in range(4):
    _hanging(_number)


@step(retry=Retry(max_attempts=1))
async def leaves_a_thread(label: str) -> str:
    """The thread outlives the step, and raises."""
    ledger.note("begins", label)

    def later() -> None:
        time.sleep(0.2)

    threading.Thread(target=later, daemon=True).start()
    ledger.note("done", label)
    return "left"


@leaves_a_thread.compensation
async def take_back_thread(label: str) -> None:
    ledger.note("undone", label)


@entry("a step that leaves a thread behind", stands="first left")
async def _leaves() -> None:
    await book("first")
    await leaves_a_thread("left")


@step(retry=Retry(max_attempts=1))
async def leaves_a_task(label: str) -> str:
    """A task of the worker's own loop, which raises when the step is long done."""
    ledger.note("begins", label)

    async def later() -> None:
        await asyncio.sleep(0.1)
        raise RuntimeError("nobody looks")

    _kept.append(asyncio.get_running_loop().create_task(later()))
    ledger.note("done", label)
    return "left"


_kept: list[asyncio.Task[None]] = []


@entry("a step that leaves a task behind", stands="first left", runner="the task would outlive the run")
async def _leaves_task() -> None:
    await book("first")
    await leaves_a_task("left")


@step(retry=Retry(max_attempts=1))
async def cancels_itself(label: str) -> None:
    ledger.note("begins", label)
    task = asyncio.current_task()
    assert task is not None, "a step runs in a task"
    task.cancel()
    await asyncio.sleep(1)


@cancels_itself.compensation
async def uncancel(label: str) -> None:
    ledger.note("undone", label)


@entry("a step that cancels its own task", status="compensated", undone="first card", runner="it would cancel the test")
async def _cancels() -> None:
    await book("first")
    await cancels_itself("card")


@entry("a slow step in the worker that freezes", stands="first slow", worker="freezes", runner="it is of no use there",
       kills="it is of no use there")  # fmt: skip
async def _slow() -> None:
    await book("first")
    await slow("slow", 1.0)


SAGAS = TABLE.sagas
