"""Entries about what is under way: races, time-outs, handlers, background tasks, cancels (L2)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from durable_saga import event, signal, state, step
from tests.nasty import ledger
from tests.nasty.entry import Table, Told
from tests.nasty.steps import ONCE, begun, book, charge, decline, refuse, slow, slow_plain

SOON = 2.0
"""Seconds in which a step has begun, on a busy machine too."""

TABLE = Table()
entry = TABLE.entry
REAL = "in the runner an attempt takes no time"
_END = Told("end")


# --- races and time-outs ---------------------------------------------------------------------------------


@entry("the first of two wins", undone="loser", stands="first winner", result="booked winner", runner=REAL)
async def _race() -> str:
    await book("first")
    both = [asyncio.create_task(book("winner")), asyncio.create_task(slow("loser", 20))]
    done, left = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    return done.pop().result()


@entry("the first of two wins, the other goes on", undone="loser", stands="first winner", runner=REAL)
async def _race_left() -> None:
    await book("first")
    both = [asyncio.create_task(book("winner")), asyncio.create_task(slow("loser", 20))]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)


@entry("as_completed over coroutines", status="compensated", undone="first", error="UnsupportedOperation")
async def _as_completed() -> None:
    await book("first")
    for one in asyncio.as_completed([slow("loser", 20), book("winner")]):
        await one
        break


@entry("a gather of which one fails, caught", undone="slow bad", stands="first", runner=REAL)
async def _gather_fails() -> None:
    await book("first")
    try:
        await asyncio.gather(slow("slow", 20), charge("bad", "key"))
    except KeyError:
        pass


@entry("a group of which one fails, caught", undone="slow bad", stands="first", runner=REAL)
async def _group_fails() -> None:
    await book("first")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(slow("slow", 20))
            group.create_task(charge("bad", "key"))
    except* KeyError:
        pass


@entry("asyncio.timeout, caught", undone="slow", stands="first", runner=REAL)
async def _timeout() -> None:
    await book("first")
    try:
        async with asyncio.timeout(SOON):
            await slow("slow", 20)
    except TimeoutError:
        pass


@entry("wait_for, caught", undone="slow", stands="first last", runner=REAL)
async def _wait_for() -> None:
    await book("first")
    try:
        await asyncio.wait_for(slow("slow", 20), SOON)
    except TimeoutError:
        await book("last")


@entry("a shielded step and a time-out", undone="slow", stands="first", runner=REAL)
async def _shield() -> None:
    await book("first")
    try:
        await asyncio.wait_for(asyncio.shield(slow("slow", 20)), SOON)
    except TimeoutError:
        pass


@entry("wait with a time-out", undone="slow", stands="first", runner=REAL)
async def _wait_timeout() -> None:
    await book("first")
    await asyncio.wait([asyncio.create_task(slow("slow", 20))], timeout=SOON)


@entry(
    "the saga's own time-out", status="compensated", undone="slow first", error="SagaTimedOut", runner=REAL, timeout=2 * SOON
)
async def _saga_timeout() -> None:
    await book("first")
    await slow("slow", 20)


@step(retry=ONCE, timeout=0.3)
async def late(label: str) -> None:
    ledger.note("begins", label)
    ledger.note("done", label)
    await asyncio.sleep(20)


@late.compensation
async def unlate(label: str, result: None) -> None:
    ledger.note("undone", label, result)


@step(retry=ONCE, timeout=0.3)
def late_plain(label: str) -> str:
    ledger.note("begins", label)
    ledger.note("done", label)
    time.sleep(1.0)
    return "late"


@late_plain.compensation
def unlate_plain(label: str, result: str | None) -> None:
    ledger.note("undone", label, result)


@step(retry=ONCE, timeout=0.3)
async def stubborn(label: str) -> str:
    """It takes its cancellation for an error like others."""
    ledger.note("begins", label)
    ledger.note("done", label)
    try:
        await asyncio.sleep(20)
    except BaseException:
        await asyncio.sleep(0.2)
    return "after all"


@stubborn.compensation
async def unstubborn(label: str, result: str | None) -> None:
    ledger.note("undone", label, result)


@step(retry=ONCE, timeout=0.2)
async def blocking(label: str) -> str:
    """It blocks the loop of its worker for longer than its time-out."""
    ledger.note("begins", label)
    ledger.note("done", label)
    time.sleep(0.6)  # noqa: ASYNC251  the mistake
    return "blocked"


@blocking.compensation
async def unblocking(label: str, result: str | None) -> None:
    ledger.note("undone", label, result)


@entry("a step that is late, caught", undone="late", stands="first", runner=REAL)
async def _late() -> None:
    await book("first")
    try:
        await late("late")
    except TimeoutError:
        pass


@entry("a step that is late", status="compensated", undone="first late", error="StepTimedOut", runner=REAL)
async def _late_fails() -> None:
    await book("first")
    await late("late")


@entry("a plain step that is late, caught", undone="late", stands="first", runner=REAL)
async def _late_plain() -> None:
    await book("first")
    try:
        await late_plain("late")
    except TimeoutError:
        pass


@entry("a step that survives its cancel", status="compensated", undone="first late", error="StepTimedOut", runner=REAL)
async def _stubborn() -> None:
    await book("first")
    await stubborn("late")


@entry("a step that blocks its loop", status="compensated", undone="first late", error="StepTimedOut", runner=REAL)
async def _blocking() -> None:
    await book("first")
    await blocking("late")


# --- handlers --------------------------------------------------------------------------------------------


def _handled(name: str, handler: Any, *told: Told, saga_fails: bool = False, **options: Any) -> None:
    async def run() -> str:
        await book("first")
        await event("end")
        if saga_fails:
            await decline("end")
        return "closed"

    handler.__name__ = handler.__qualname__ = "top_up"
    entry(name, told=told, **options)(run).signal(handler)


async def _pays(number: int) -> None:
    await slow("topped", 0.6)
    state.set("topped", number)


async def _pays_at_once(number: int) -> None:
    await book("topped")


async def _fails(number: int) -> None:
    await book("topped")
    raise ValueError("in the handler")


async def _step_fails(number: int) -> None:
    await book("before")
    await charge("topped", "stripe card")


async def _catches(number: int) -> None:
    try:
        await charge("topped", "key")
    except KeyError:
        pass


async def _never_ends(number: int) -> None:
    await book("topped")
    await event("never")


def _state_is(value: Any) -> Any:
    return lambda seen: "" if seen.state.get("topped") == value else f"its state is {seen.state}"


def _rejected(seen: Any) -> str:
    return "" if "signal_rejected" in seen.kinds else f"the message is not shown as rejected: {seen.kinds}"


_TOP_UP = Told("top_up", (5,), 0.2)
_CLOSED: dict[str, Any] = {"result": "closed"}
_handled("a handler at work at the return", _pays, _TOP_UP, Told("end", once="topped"), stands="first topped",
         check=_state_is(5), runner=REAL, **_CLOSED)  # fmt: skip
_handled("a handler that is done", _pays_at_once, _TOP_UP, Told("end", after=1.0), stands="first topped", **_CLOSED)
_handled("a handler at work when the saga fails", _pays, _TOP_UP, Told("end", once="topped"), saga_fails=True,
         status="compensated", undone="first topped", runner=REAL)  # fmt: skip
_handled("a handler that raises", _fails, _TOP_UP, Told("end", after=0.8), undone="topped", stands="first", check=_rejected,
         **_CLOSED)  # fmt: skip
_handled("a handler whose step fails", _step_fails, _TOP_UP, Told("end", after=0.8), undone="before topped", stands="first",
         check=_rejected, **_CLOSED)  # fmt: skip
_handled("a handler that catches", _catches, _TOP_UP, Told("end", after=0.8), undone="topped", stands="first", **_CLOSED)
_handled("a value that does not fit the handler", _pays_at_once, Told("top_up", ("many",), 0.2), Told("end", after=0.8),
         stands="first", check=_rejected, **_CLOSED)  # fmt: skip
_handled("too many values for the handler", _pays_at_once, Told("top_up", (1, 2, 3), 0.2), Told("end", after=0.8),
         stands="first", check=_rejected, **_CLOSED)  # fmt: skip
_handled("a handler and a cancel", _pays, _TOP_UP, Told("", verb="cancel", once="topped"), status="cancelled",
         undone="first topped", runner=REAL)  # fmt: skip


# --- background tasks and dropped ones -------------------------------------------------------------------


@entry("a background task at the return", undone="topped", stands="first", runner=REAL)
async def _background() -> None:
    await book("first")
    _task = asyncio.create_task(slow("topped", 20))  # noqa: RUF006  it is kept, and forgotten
    await begun("topped")


@entry("a task that nobody keeps", undone="topped", stands="first", runner=REAL)
async def _dropped() -> None:
    await book("first")
    asyncio.create_task(slow("topped", 20))  # noqa: RUF006  the mistake
    await begun("topped")


@entry("a task that is cancelled", undone="topped", stands="first", runner=REAL)
async def _cancelled() -> None:
    await book("first")
    task = asyncio.create_task(slow("topped", 20))
    await begun("topped")
    task.cancel()


@entry("a plain step that is cancelled", undone="topped", stands="first", runner=REAL)
async def _cancelled_plain() -> None:
    await book("first")
    task = asyncio.create_task(slow_plain("topped", 2 * SOON))
    await begun("topped")
    task.cancel()


@entry("a task that was never begun", stands="first", runner=REAL)
async def _never_begun() -> None:
    await book("first")
    task = asyncio.create_task(book("never"))
    task.cancel()


@entry("a background task when the saga fails", status="compensated", undone="first topped", error="Declined", runner=REAL)
async def _background_fails() -> None:
    await book("first")
    _task = asyncio.create_task(slow("topped", 20))  # noqa: RUF006  it is kept, and forgotten
    await begun("topped")
    await decline("end")


@entry("a background task that did not apply", stands="first", undone="")
async def _background_refused() -> None:
    await book("first")
    task = asyncio.create_task(refuse("nothing"))
    await asyncio.wait([task])


# --- requests from outside -------------------------------------------------------------------------------


@entry("a cancel while a step runs", status="cancelled", undone="first slow", runner=REAL,
       told=(Told("", verb="cancel", once="slow"),))  # fmt: skip
async def _cancel() -> None:
    await book("first")
    await slow("slow", 20)


@entry("a cancel while a plain step runs", status="cancelled", undone="first slow", runner=REAL,
       told=(Told("", verb="cancel", once="slow"),))  # fmt: skip
async def _cancel_plain() -> None:
    await book("first")
    await slow_plain("slow", 1.5)


@entry("a cancel that is caught", status="cancelled", undone="first slow", runner=REAL,
       told=(Told("", verb="cancel", once="slow"),))  # fmt: skip
async def _cancel_caught() -> None:
    await book("first")
    try:
        await slow("slow", 20)
    except asyncio.CancelledError:
        return


@entry("compensate while a step runs", status="compensated", undone="first slow", runner=REAL,
       told=(Told("", verb="compensate", once="slow"),))  # fmt: skip
async def _compensate() -> None:
    await book("first")
    await slow("slow", 20)


@entry("a signal that nobody reads", result="closed", stands="first", told=(Told("other", (1,), 0.2), Told("end", after=0.6)),
       check=lambda seen: "" if seen.unread else "the message is not shown as unread")  # fmt: skip
async def _unread() -> str:
    await book("first")
    await event("end")
    return "closed"


@entry(
    "a signal of the wrong type that is waited for", result=7, stands="first",
    told=(Told("go", ("many",), 0.3), Told("go", (7,), 0.3)),
)  # fmt: skip
async def _signal_type() -> int:
    await book("first")
    return int(await signal("go", int))
