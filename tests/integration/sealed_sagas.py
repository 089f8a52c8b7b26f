"""Sagas whose values no journal may show: each value holds SECRET. A module that workers, the command line and tests import."""

from __future__ import annotations

import os
import pathlib
import time

from durable_saga import Retry, continue_as_new, correlate, event, on_failure, saga, signal, state, step
from durable_saga.sealing import KeyFolder, Sealed, Subject

SECRET = "Kowalski-DE7551200"
LARGE = 40_000
FOLDER = os.environ.get("SEALED_KEYS", "keys")
keys = KeyFolder(FOLDER)


def owner_of(subject: Subject) -> str:
    return f"customer-{(subject.saga or subject.correlation_key).partition('/')[0]}"


sealed = Sealed(keys, owner_of)


class Declined(Exception):
    def __init__(self, message: str, iban: str) -> None:
        super().__init__(message)
        self.iban = iban


@step
async def greet(name: str) -> str:
    return f"hello {name}"


@step
async def statement(name: str, size: int) -> bytes:
    """Large, and not to be compressed."""
    return name.encode() + os.urandom(size)


@step(retry=Retry(max_attempts=2, initial=0.01))
async def charge(iban: str) -> str:
    raise Declined(f"the bank declined {iban}", iban)


@greet.compensation
async def ungreet(name: str, result: str | None) -> None:
    assert SECRET in name


@step(retry=Retry(max_attempts=1))
def log_off(name: str) -> None:
    """A file that is there lets it through."""
    while not pathlib.Path(FOLDER, "gate").exists():
        time.sleep(0.02)


@saga
async def everything(name: str) -> str:
    """Arguments, results, state, large values, signals, an event by its key, a failure that is caught."""
    state.set("name", f"state of {name}")
    correlate("7/key")
    hello = await greet(name)
    paper = await statement(name, LARGE)
    on_failure(ungreet, name, None)
    told = await signal("tell", str)
    large = await signal("large", bytes)
    paid = await event("paid", type=str)
    try:
        await charge(name)
    except Declined as error:
        return f"{hello}; {told}; {paid}; {error.iban}; {len(paper)}; {len(large)}"
    return ""


@saga
async def carried(name: str, turn: int = 1) -> str:
    state.set("told", f"{name} {turn}")
    told = await signal("tell", str)
    if turn == 2:
        return f"{name}: {told}"
    await continue_as_new(f"{name}: {told}", 2)
    return ""


@saga
async def fails(name: str) -> str:
    await greet(name)
    return await charge(name)


@saga
async def gated(name: str) -> str:
    hello = await greet(name)
    await log_off(name)
    return hello


@saga
async def waits(name: str) -> str:
    hello = await greet(name)
    return f"{hello}, {await signal('tell', str)}"
