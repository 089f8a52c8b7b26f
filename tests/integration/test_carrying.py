"""Carried context: what a ContextVar holds at the start or the sending is there in saga code, steps and compensations."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from durable_saga import Client, SyncClient, Worker, connect, continue_as_new, on_failure, saga, sleep, step, wait_until
from durable_saga.errors import LimitExceeded, MissingKey, NotSerializable, SagaCompensated
from durable_saga.rehearsal import rehearse
from durable_saga.sealing import KeyFolder, Sealed

USER: ContextVar[str] = ContextVar("user", default="nobody")
LIMITS: ContextVar[dict[str, Any]] = ContextVar("limits")
CARRY: Sequence[ContextVar[Any]] = [USER, LIMITS]
SEEN: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    SEEN.clear()


@step
async def charge() -> None:
    SEEN.append(f"charge for {USER.get()}")
    if (limits := LIMITS.get(None)) is not None:
        limits["changed"] = True


@charge.compensation
def refund() -> None:
    SEEN.append(f"refund for {USER.get()}")


@step
def pack() -> str:
    return f"packed for {USER.get()} with {LIMITS.get({})}"


@saga
async def ship() -> str:
    return f"{USER.get()}: {await pack()}"


@saga
async def place_order() -> str:
    await charge()
    told = await ship()
    return f"{USER.get()} {LIMITS.get({})}, {told}"


@saga
async def fails() -> None:
    on_failure(note)
    await charge()
    raise LookupError(USER.get())


async def note() -> None:
    SEEN.append(f"note for {USER.get()}")


@saga
async def guarded() -> str:
    before = USER.get()
    await sleep(0.05)
    await wait_until(lambda: bool(ADDED))
    await charge()
    return f"{before} and {USER.get()}"


ADDED: list[str] = []


@guarded.signal
async def add(what: str) -> None:
    SEEN.append(f"{what} by {USER.get()}")
    await charge()
    ADDED.append(what)


@saga
async def goes_on(left: int) -> str:
    SEEN.append(await pack())
    return USER.get() if not left else await continue_as_new(left - 1)


SAGAS: list[Any] = [place_order, ship, fails, guarded, goes_on]


def seen_by(user: str | None, one: Any, *args: Any, url: str = "memory:", limits: Any = None, **options: Any) -> Any:
    async def scenario() -> Any:
        async with connect(url, carry=CARRY, **options) as client, Worker(client, sagas=SAGAS):
            if user is not None:
                USER.set(user)
            if limits is not None:
                LIMITS.set(limits)
            return await (await client.start(one, *args, id="o-1")).result(timeout=20)

    return asyncio.run(scenario())


def test_saga_code_child_sagas_and_steps_see_it_each_with_its_own_copy() -> None:
    limits = {"most": Decimal("7.50")}
    told = seen_by("Ann", place_order, limits=limits)
    assert told == f"Ann {limits}, Ann: packed for Ann with {limits}"
    assert SEEN == ["charge for Ann"]


def test_what_was_never_set_is_not_carried() -> None:
    assert seen_by(None, place_order) == "nobody {}, nobody: packed for nobody with {}"


def test_compensations_see_it() -> None:
    with pytest.raises(SagaCompensated, match="Ann"):
        seen_by("Ann", fails)
    assert SEEN == ["charge for Ann", "refund for Ann", "note for Ann"]


def test_the_next_run_has_it_too() -> None:
    assert seen_by("Ann", goes_on, 2) == "Ann"
    assert SEEN == ["packed for Ann with {}"] * 3


async def go(url: str, act: Any, *, work: bool = True, **options: Any) -> Any:
    async with connect(url, carry=CARRY, **options) as client:
        if not work:
            return await act(client)
        async with Worker(client, sagas=SAGAS):
            return await act(client)


def test_a_signal_carries_what_its_sender_had_into_its_handler_alone() -> None:
    ADDED.clear()

    async def act(client: Client) -> Any:
        USER.set("Ann")
        handle = await client.start(guarded, id="o-1")
        USER.set("Ben")
        await handle.signal(add, "lamp")
        return await handle.result(timeout=20)

    assert asyncio.run(go("memory:", act)) == "Ann and Ann"
    assert SEEN == ["lamp by Ben", "charge for Ben", "charge for Ann"]


def test_a_replay_in_another_process_sees_the_same(tmp_path: Path) -> None:
    ADDED.clear()
    url = f"sqlite:///{tmp_path}/journal.db"

    async def begin(client: Client) -> None:
        USER.set("Ann")
        await client.start(place_order, id="o-1")
        await client.start(guarded, id="o-2")
        while not (await client.handle("o-2").describe()).steps and not await client.handle("o-2").history():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)

    async def end(client: Client) -> Any:
        USER.set("somebody else")
        misfits = [one.misfit async for one in rehearse(client, [one.definition for one in SAGAS], sagas_max=10)]
        assert misfits == [None] * len(misfits)
        await client.handle("o-2").signal("add", "lamp")
        return await client.handle("o-2").result(timeout=20), await client.handle("o-1").result(timeout=20)

    asyncio.run(go(url, begin))
    assert asyncio.run(go(url, end)) == ("Ann and Ann", "Ann {}, Ann: packed for Ann with {}")


def test_a_codec_seals_it(tmp_path: Path) -> None:
    keys = KeyFolder(str(tmp_path / "keys"))
    keys.create("default")
    url = f"sqlite:///{tmp_path}/journal.db"
    assert seen_by("Ann the secret", ship, url=url, codec=Sealed(keys)) == "Ann the secret: packed for Ann the secret with {}"
    files = b"".join(file.read_bytes() for file in tmp_path.glob("journal.db*"))
    assert b"Ann the secret" not in files
    assert b"carried" not in files

    async def look(client: Client) -> Any:
        return await client.handle("o-1").result(timeout=20)

    with pytest.raises(MissingKey):
        asyncio.run(go(url, look, work=False))


def test_what_can_not_be_carried_is_refused_before_anything_is_sent() -> None:
    @dataclass
    class Person:
        name: str

    for value, error in ((Person("Ann"), NotSerializable), ("x" * 5_000, LimitExceeded)):

        async def act(client: Client, value: Any = value, error: Any = error) -> None:
            LIMITS.set(value)
            with pytest.raises(error, match="limits"):
                await client.start(ship, id="o-1")
            assert [one async for one in client.list()] == []

        asyncio.run(go("memory:", act))


def test_what_is_no_context_variable_is_refused() -> None:
    with pytest.raises(TypeError, match="give ContextVars"):
        connect("memory:", carry=["user"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="two ContextVars named 'user'"):
        connect("memory:", carry=[USER, ContextVar("user")])


def test_a_sync_client_carries_what_its_thread_has(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    token = USER.set("Ann")
    try:
        with SyncClient(url, carry=CARRY) as client:
            client.start(ship, id="o-1")
    finally:
        USER.reset(token)

    async def end(client: Client) -> Any:
        return await client.handle("o-1").result(timeout=20)

    assert asyncio.run(go(url, end)) == "Ann: packed for Ann with {}"
