"""Steps of Django code are plain functions: they run in threads, where the ORM may be used."""

from __future__ import annotations

from django.db import close_old_connections

from durable_saga import Retry, saga, step


@step(timeout=10)
def reserve(item: str) -> str:
    close_old_connections()  # a thread that lives for long has no request that would do it
    return f"reservation of {item}"  # Reservation.objects.create(...) in your project


@reserve.compensation
def release(item: str, result: str | None) -> None:
    close_old_connections()
    print("release", result or item, flush=True)


@step(timeout=10, retry=Retry(max_attempts=2, initial=0.1))
def charge(item: str, amount: int) -> str:
    if amount > 500:
        raise ValueError("over the limit")
    return f"payment of {item}"


@saga
async def place_order(item: str, amount: int) -> str:
    await reserve(item)
    return await charge(item, amount)
