"""Entries about saga code itself: what it raises, returns, forgets and calls; and steps whose failure it catches (L2)."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import Any

from durable_saga import event, on_failure, saga, scope, sleep, state
from tests.nasty.entry import Table, Told
from tests.nasty.raised import MADE, BadText, WithoutSuper
from tests.nasty.steps import book, charge, decline, look, refuse, slow, slow_plain

TABLE = Table()
entry = TABLE.entry


# --- what it raises --------------------------------------------------------------------------------------


def _raises(name: str) -> None:
    async def run() -> None:
        await book("first")
        raise MADE[name]()

    runner = "in a test it is the user who ends the test" if name == "interrupt" else ""
    entry(f"saga raises {name}", status="compensated", undone="first", runner=runner)(run)


for _name in (
    "exit", "interrupt", "generator exit", "bad text", "bad code", "surrogate", "stop iteration", "without super", "group",
    "circle", "chained", "cancelled",
):  # fmt: skip
    _raises(_name)


@entry("saga leaves by sys.exit", status="compensated", undone="first")
async def _leaves() -> None:
    await book("first")
    sys.exit(2)


@entry("saga raises before any step", status="failed", error="WithoutSuper")
async def _at_once() -> None:
    raise WithoutSuper(1, 2.0)


@entry("saga raises after it caught another", status="compensated", undone="first card", error="BadText")
async def _raises_from() -> None:
    await book("first")
    try:
        await charge("card", "bad code")
    except Exception as error:
        raise BadText() from error


# --- what it returns -------------------------------------------------------------------------------------


@entry("saga returns a lock", status="compensated", undone="first")
async def _lock() -> Any:
    await book("first")
    return threading.Lock()


@entry("saga returns another type", status="compensated", undone="first")
async def _other_type() -> str:
    await book("first")
    wrong: Any = 5
    return wrong  # type: ignore[no-any-return]  # the mistake


@entry("saga keeps a lock as its state", status="compensated", undone="first")
async def _lock_state() -> None:
    await book("first")
    state.set("lock", threading.Lock())


@entry("a step gets a lock", status="compensated", undone="first")
async def _lock_argument() -> None:
    await book("first")
    await look(threading.Lock())  # type: ignore[arg-type]  # the mistake


@entry("a step gets too few arguments", status="compensated", undone="first", error="TypeError")
async def _too_few() -> None:
    await book("first")
    await charge("card")


# --- caught failures -------------------------------------------------------------------------------------


@entry("tries another card", undone="a", stands="b", result="b")
async def _other_card() -> str:
    try:
        await charge("a", "time-out")
        return "a"
    except TimeoutError:
        await book("b")
        return "b"


@entry("tries three cards", undone="a b c", stands="first", result="none")
async def _three_cards() -> str:
    await book("first")
    for label in "abc":
        try:
            await charge(label, "stripe card")
            return label
        except Exception:
            continue
    return "none"


@entry("catches what did not happen", stands="first", undone="", result="well")
async def _not_applied() -> str:
    await book("first")
    try:
        await refuse("card")
    except Exception:
        return "well"
    return "no"


@entry("gathers exceptions", undone="bad", stands="good other")
async def _gathers() -> int:
    found = await asyncio.gather(book("good"), charge("bad", "key"), book("other"), return_exceptions=True)
    return sum(isinstance(one, BaseException) for one in found)


@entry("catches, then fails itself", status="compensated", undone="first a", error="ValueError")
async def _then_fails() -> None:
    await book("first")
    try:
        await charge("a", "time-out")
    except TimeoutError:
        raise ValueError("and now this") from None


@entry("catches in a scope", undone="in card", stands="first last")
async def _in_scope() -> None:
    await book("first")
    try:
        async with scope("gift"):
            await book("in")
            await charge("card", "http status")
    except Exception:
        await book("last")


@entry("catches inside a scope", undone="card", stands="first in")
async def _inside_scope() -> None:
    await book("first")
    async with scope("gift"):
        await book("in")
        try:
            await charge("card", "json")
        except ValueError:
            pass


@entry("suppresses with finally", undone="card", stands="first", result="finally")
async def _finally() -> str:
    await book("first")
    try:
        await charge("card", "file")
    finally:
        return "finally"  # noqa: B012  the mistake


@entry("catches a failure in a child", undone="card", stands="first in")
async def _child_fails() -> None:
    await book("first")
    await _child()


@saga(name="child that catches")
async def _child() -> None:
    await book("in")
    try:
        await charge("card", "key")
    except KeyError:
        pass


@entry("a dynamic undo and a caught failure", undone="card", stands="first")
async def _dynamic() -> None:
    await book("first")
    on_failure(book.definition.function, "never")
    try:
        await charge("card", "key")
    except KeyError:
        pass


# --- forgotten and forbidden -----------------------------------------------------------------------------


@entry("forgets to await a step", status="compensated", undone="first", words="coding.py")
async def _forgets() -> None:
    await book("first")
    book("second")  # type: ignore[unused-coroutine]  # the mistake


@entry("forgets to await, then fails", status="compensated", undone="first", error="Declined")
async def _forgets_and_fails() -> None:
    await book("first")
    book("second")  # type: ignore[unused-coroutine]  # the mistake
    await decline("end")


@entry("sleeps with time.sleep", status="compensated", undone="first")
async def _blocks() -> None:
    await book("first")
    time.sleep(0.2)  # noqa: ASYNC251  the mistake
    raise ValueError("it may be told, or let")


@entry("opens a file", status="compensated", undone="first", error="BlockingCall", words="coding.py")
async def _opens() -> None:
    await book("first")
    open(__file__)  # noqa: ASYNC230, SIM115  the mistake


@entry("starts a thread", status="compensated", undone="first", error="BlockingCall", words="coding.py")
async def _thread() -> None:
    await book("first")
    threading.Thread(target=print).start()


@entry("a callback that raises", result="went on", stands="first second")
async def _callback() -> str:
    task = asyncio.create_task(book("first"))
    task.add_done_callback(lambda _: 1 // 0)
    await task
    await book("second")
    return "went on"


@entry("call_soon that raises", result="went on", stands="first second")
async def _call_soon() -> str:
    await book("first")
    asyncio.get_running_loop().call_soon(lambda: 1 // 0)
    await sleep(0.01)
    await book("second")
    return "went on"


@entry("a task's exception that nobody retrieves", result="went on", undone="card", stands="first")
async def _unretrieved() -> str:
    await book("first")
    task = asyncio.create_task(charge("card", "key"))
    await asyncio.wait([task])
    return "went on"


@entry("an event of another type", result=7, stands="first", told=(Told("paid", ("many",)), Told("paid", (7,))))
async def _event_type() -> Any:
    await book("first")
    return await event("paid", type=int)


@entry("a step in a finally", status="compensated", undone="first late", error="Declined")
async def _late() -> None:
    await book("first")
    try:
        await decline("end")
    finally:
        await book("late")


@entry("a slow step, then a failure", status="compensated", undone="slow first plain")
async def _slow_then_fails() -> None:
    await book("first")
    await slow("slow", 0.1)
    await slow_plain("plain", 0.1)
    await decline("end")
