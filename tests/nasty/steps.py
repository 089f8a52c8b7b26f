"""The honest steps that every saga of the table has around its mistake, and two that do a named deed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from durable_saga import NotApplied, Retry, step, step_context
from tests.nasty import ledger

ONCE = Retry(max_attempts=1)
DEEDS: dict[str, Callable[[], Any]] = {}
"""What a step does behind its effect, by name: it raises, or gives the result."""


@step(retry=ONCE)
async def book(label: str) -> str:
    ledger.note("begins", label)
    ledger.note("done", label)
    return f"booked {label}"


@book.compensation
async def unbook(label: str, result: str | None) -> None:
    ledger.note("undone", label, result)


@step(retry=ONCE)
def book_plain(label: str) -> str:
    ledger.note("begins", label)
    ledger.note("done", label)
    return f"booked {label}"


@step(retry=ONCE)
async def charge(label: str, deed: str) -> Any:
    ledger.note("begins", label)
    ledger.note("done", label)
    return DEEDS[deed]()


@charge.compensation
async def refund(label: str, deed: str, result: Any) -> None:
    ledger.note("undone", label, result)


@step(retry=ONCE)
def charge_plain(label: str, deed: str) -> Any:
    ledger.note("begins", label)
    ledger.note("done", label)
    return DEEDS[deed]()


@charge_plain.compensation
def refund_plain(label: str, deed: str, result: Any) -> None:
    ledger.note("undone", label, result)


@step(retry=ONCE)
async def slow(label: str, seconds: float) -> str:
    """Its effect is there at once, its answer late."""
    ledger.note("begins", label)
    ledger.note("done", label)
    await asyncio.sleep(seconds)
    return f"slow {label}"


@slow.compensation
async def unslow(label: str, seconds: float, result: str | None) -> None:
    ledger.note("undone", label, result)


@step(effect=False)
async def begun(label: str) -> None:
    """Ends when another step of this saga has begun, however busy the machine is."""
    while not any(row.saga == step_context().saga and row.label == label for row in ledger.rows(ledger.place())):
        await asyncio.sleep(0.05)


@step(retry=ONCE)
def slow_plain(label: str, seconds: float) -> str:
    ledger.note("begins", label)
    ledger.note("done", label)
    time.sleep(seconds)
    return f"slow {label}"


@slow_plain.compensation
def unslow_plain(label: str, seconds: float, result: str | None) -> None:
    ledger.note("undone", label, result)


class Declined(Exception):
    """An error of the user's own, as most are."""

    code = "DECLINED"


@step(retry=ONCE)
async def decline(label: str) -> None:
    ledger.note("begins", label)
    raise Declined(label)


@step(retry=ONCE)
async def refuse(label: str) -> None:
    """It says that nothing happened."""
    ledger.note("begins", label)
    raise NotApplied(label)


@refuse.compensation
async def undo_refused(label: str) -> None:
    ledger.note("undone", label)


@step(effect=False)
async def look(label: str) -> str:
    return label
