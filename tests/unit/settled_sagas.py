"""Sagas whose histories were recorded before there was settling, before handlers were units of their own and before a missing
`await` failed a saga: tests/histories/before-*.history."""

from __future__ import annotations

import asyncio

from durable_saga import Retry, event, saga, step


@step(retry=Retry(max_attempts=1))
async def charge(account: str) -> str:
    if account == "late":
        raise TimeoutError(account)
    return f"paid by {account}"


@charge.compensation
async def refund(account: str, result: str | None) -> None: ...


@saga
async def caught() -> str:
    try:
        return await charge("late")
    except TimeoutError:
        return await charge("a")


@saga
async def wallet() -> str:
    await event("close")
    return "closed"


@wallet.signal
async def top_up(account: str, seconds: float) -> None:
    await charge(account)
    await asyncio.sleep(seconds)


@saga
async def forgets() -> str:
    charge("a")  # type: ignore[unused-coroutine]  # the case
    return "green"


@saga
async def typed() -> int:
    try:
        return int(await event("number", type=int))
    except Exception:
        return int(await event("number", type=int))
