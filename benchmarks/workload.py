"""The workload of the benchmarks: a saga of n no-op steps, each returning a small dict."""

from __future__ import annotations

from typing import Any

from durable_saga import event, saga, step


@step
async def nothing(number: int) -> dict[str, int]:
    return {"number": number}


@saga
async def chain(steps: int) -> int:
    for number in range(steps):
        await nothing(number)
    return steps


@saga
async def approved(number: int) -> Any:
    await nothing(number)
    return await event("approval", timeout=86_400)
