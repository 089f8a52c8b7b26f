"""What is sealed is sealed everywhere outside of clients and workers, and a missing key blocks and never skips."""

from __future__ import annotations

import asyncio
import pathlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from durable_saga import Client, Worker, connect, saga, signal, state
from durable_saga.client import raw
from durable_saga.errors import AlreadyStarted, MissingKey, SagaCancelled, SagaCompensated
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.sealing import KeyFolder, KeyRing, Sealed
from durable_saga.worker import blocked
from tests.integration import sealed_sagas as s

SAGAS = [s.everything, s.carried, s.fails, s.gated, s.waits]


@pytest.fixture
def keys(tmp_path: pathlib.Path) -> KeyFolder:
    made = KeyFolder(tmp_path / "keys")
    made.create("customer-7")
    return made


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setattr(blocked, "BLOCKED_RETRY_MS", 200)
    monkeypatch.setattr(blocked, "BLOCKED_RETRY_MS_MAX", 200)
    monkeypatch.setattr(s, "FOLDER", str(tmp_path / "keys"))


@asynccontextmanager
async def at_work(folder: pathlib.Path, codec: Sealed | None, sagas: Any = SAGAS) -> AsyncIterator[Client]:
    async with connect(f"sqlite:///{folder}/j.db", codec=codec) as client, Worker(client, sagas=sagas):
        yield client


def sealed_by(keys: Any) -> Sealed:
    return Sealed(keys, s.owner_of)


def written(folder: pathlib.Path) -> bytes:
    return b"".join(one.read_bytes() for one in sorted(folder.glob("j.db*")))


async def until(client: Client, saga: str, wanted: Callable[[c.Description], bool]) -> c.Description:
    async with asyncio.timeout(30):
        while True:
            found = await raw.describe(client.handle(saga))
            if wanted(found):
                return found
            await asyncio.sleep(0.02)


def play(scenario: Any) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


def test_no_value_of_a_saga_stands_in_the_journal_while_it_runs_and_after(tmp_path: pathlib.Path, keys: KeyFolder) -> None:
    async def scenario() -> None:
        async with at_work(tmp_path, sealed_by(keys)) as client:
            handle = await client.start(s.everything, s.SECRET, id="7/a")
            await handle.signal("tell", f"told {s.SECRET}")
            await handle.signal("large", s.SECRET.encode() * 3_000)
            await until(client, "7/a", lambda one: any(step.name == "statement" and step.state == "done" for step in one.steps))
            assert (await handle.state())["name"] == f"state of {s.SECRET}"
            assert s.SECRET.encode() not in written(tmp_path)
            assert await client.publish("paid", f"paid by {s.SECRET}", key="7/key") == 1
            told = f"hello {s.SECRET}; told {s.SECRET}; paid by {s.SECRET}; {s.SECRET}; {s.LARGE + len(s.SECRET)}; 54000"
            assert await handle.result() == told
            shown = await raw.describe(handle)
            (failed,) = [step for step in shown.steps if step.name == "charge"]
            assert failed.last_error.endswith(f"Declined: the bank declined {s.SECRET}")
            history = await raw.history(handle)
            (end,) = [event.step_failed.failure for event in history if event.HasField("step_failed")]
            assert s.SECRET in end.message
            assert "charge" in end.traceback
            assert not any(event.sealed for event in history)
            with pytest.raises(SagaCompensated, match=s.SECRET):
                await (await client.start(s.fails, s.SECRET, id="7/b")).result()
            assert s.SECRET.encode() not in written(tmp_path)
        assert s.SECRET.encode() not in written(tmp_path)
        assert b"customer-7:1" in written(tmp_path)

    play(scenario())


def test_a_saga_takes_its_sealed_values_and_messages_into_its_next_run(tmp_path: pathlib.Path, keys: KeyFolder) -> None:
    async def scenario() -> None:
        async with at_work(tmp_path, sealed_by(keys)) as client:
            handle = await client.start(s.carried, s.SECRET, id="7/a")
            for number in range(2):
                await handle.signal("tell", f"{number} {s.SECRET}")
            assert await handle.result() == f"{s.SECRET}: 0 {s.SECRET}: 1 {s.SECRET}"
        assert s.SECRET.encode() not in written(tmp_path)

    play(scenario())


def test_a_run_without_its_key_is_blocked_by_name_and_goes_on_when_it_is_back(tmp_path: pathlib.Path, keys: KeyFolder) -> None:
    async def scenario() -> None:
        async with at_work(tmp_path, sealed_by(keys)) as client:
            await client.start(s.waits, s.SECRET, id="7/a")
            await until(client, "7/a", lambda one: any(step.state == "done" for step in one.steps))
        key, away = tmp_path / "keys" / "customer-7" / "1.key", tmp_path / "away"
        key.rename(away)
        keys.create("customer-7")  # what is new could be sealed
        async with at_work(tmp_path, sealed_by(keys)) as client:
            handle = client.handle("7/a", s.waits)
            await handle.signal("tell", "then")
            found = await until(client, "7/a", lambda one: bool(one.blocked))
            assert "MissingKey" in found.blocked
            assert "'customer-7:1', which is not here" in found.blocked
            assert found.status == h.RUNNING
            assert [step.name for step in found.steps] == ["greet"]
            away.rename(key)
            assert await handle.result() == f"hello {s.SECRET}, then"

    play(scenario())


def test_an_unwind_without_its_key_is_blocked_and_skips_nothing(tmp_path: pathlib.Path, keys: KeyFolder) -> None:
    async def scenario() -> None:
        async with at_work(tmp_path, sealed_by(keys)) as client:
            handle = await client.start(s.waits, s.SECRET, id="7/a")
            await until(client, "7/a", lambda one: any(step.state == "done" for step in one.steps))
        key, away = tmp_path / "keys" / "customer-7" / "1.key", tmp_path / "away"
        async with connect(f"sqlite:///{tmp_path}/j.db", codec=sealed_by(keys)) as client:
            await client.handle("7/a").cancel("no longer wanted")
        key.rename(away)
        async with at_work(tmp_path, sealed_by(keys)) as client:
            found = await until(client, "7/a", lambda one: bool(one.blocked))
            assert "MissingKey" in found.blocked
            assert found.status == h.RUNNING
            away.rename(key)
            found = await until(client, "7/a", lambda one: one.status == h.CANCELLED)
            assert [step.compensation_state for step in found.steps] == ["done"]
        del handle

    play(scenario())


def test_what_an_erased_key_sealed_is_lost_and_nothing_new_is_sealed_for_that_customer(
    tmp_path: pathlib.Path, keys: KeyFolder
) -> None:
    async def scenario() -> None:
        keys.create("customer-8")
        async with at_work(tmp_path, sealed_by(keys)) as client:
            for customer in (7, 8):
                done = await client.start(s.carried, s.SECRET, id=f"{customer}/a")
                for number in range(2):
                    await done.signal("tell", str(number))
                await done.result()
            await client.start(s.gated, s.SECRET, id="7/open")
            await until(client, "7/open", lambda one: any(step.name == "log_off" for step in one.steps))
            keys.erase("customer-7")
            (tmp_path / "keys" / "gate").touch()  # its outcome can't be committed any more
            found = await until(client, "7/open", lambda one: bool(one.blocked))
            assert "the keys of 'customer-7' are erased" in found.blocked
            assert found.next_seq == 4
            with pytest.raises(MissingKey, match="'customer-7:1'"):
                await client.handle("7/a").result()
            with pytest.raises(MissingKey, match="erased"):
                await client.start(s.waits, "x", id="7/new")
            assert await client.handle("8/a").result() == f"{s.SECRET}: 0: 1"
            await client.handle("7/open").terminate("forgotten")
            with pytest.raises(ValueError, match="can't be used again"):
                keys.create("customer-7")

    play(scenario())


def test_a_history_that_began_in_plain_goes_on_sealed_and_a_rotated_one_opens_both(
    tmp_path: pathlib.Path, keys: KeyFolder
) -> None:
    async def scenario() -> None:
        async with at_work(tmp_path, None) as client:
            await client.start(s.waits, "plain words", id="7/a")
            await until(client, "7/a", lambda one: any(step.state == "done" for step in one.steps))
        assert b"plain words" in written(tmp_path)
        async with at_work(tmp_path, sealed_by(keys)) as client:
            sealed = await client.start(s.waits, s.SECRET, id="7/b")
            await until(client, "7/b", lambda one: any(step.state == "done" for step in one.steps))
            assert keys.create("customer-7") == "customer-7:2"
            for saga in ("7/a", "7/b"):
                await client.handle(saga).signal("tell", f"then {s.SECRET}")
            assert await client.handle("7/a").result() == f"hello plain words, then {s.SECRET}"
            assert await sealed.result() == f"hello {s.SECRET}, then {s.SECRET}"
        async with connect(f"sqlite:///{tmp_path}/j.db") as client:
            used = [await seals(client, saga) for saga in ("7/a", "7/b")]
        assert used == [["", "customer-7:2"], ["customer-7:1", "customer-7:2"]]
        assert s.SECRET.encode() not in written(tmp_path)

    async def seals(client: Client, saga: str) -> list[str]:
        events = await raw.history(client.handle(saga))
        return [events[0].saga_started.input.seal.key, events[-1].saga_ended.result.seal.key]

    play(scenario())


def test_a_worker_and_a_client_without_the_codec_say_so(tmp_path: pathlib.Path, keys: KeyFolder) -> None:
    async def scenario() -> None:
        async with at_work(tmp_path, sealed_by(keys)) as client:
            done = await client.start(s.carried, s.SECRET, id="7/done")
            for number in range(2):
                await done.signal("tell", str(number))
            await done.result()
            await client.start(s.waits, s.SECRET, id="7/a")
        async with at_work(tmp_path, None) as client:
            found = await until(client, "7/a", lambda one: bool(one.blocked))
            assert "this worker has no codec" in found.blocked
            await client.start(s.waits, "plain", id="7/b")
            assert (await raw.describe(client.handle("7/a"))).status == h.RUNNING
            with pytest.raises(MissingKey, match=r"give connect\(\) the codec"):
                await client.handle("7/done").result()
        async with connect(f"sqlite:///{tmp_path}/j.db", codec=sealed_by(keys)) as client:
            await client.handle("7/b").signal("tell", s.SECRET)
        async with at_work(tmp_path, None) as client:
            found = await until(client, "7/b", lambda one: bool(one.blocked))
            assert "a message to it is sealed" in found.blocked

    play(scenario())


def test_why_a_run_is_blocked_is_sealed_where_it_tells_values(tmp_path: pathlib.Path, keys: KeyFolder) -> None:
    async def scenario() -> None:
        async with at_work(tmp_path, sealed_by(keys)) as client:
            await client.start(s.waits, s.SECRET, id="7/a")
            await until(client, "7/a", lambda one: any(step.state == "done" for step in one.steps))

        @saga(name="waits")
        async def changed(name: str) -> str:
            await s.greet(f"dear {name}")
            return str(await signal("tell", str))

        async with at_work(tmp_path, sealed_by(keys), [changed]) as client:
            found = await until(client, "7/a", lambda one: bool(one.blocked))
            assert found.blocked.startswith("NonDeterminism: ")
            assert f"dear {s.SECRET}" in found.blocked
            async with connect(f"sqlite:///{tmp_path}/j.db") as stranger:
                shown = await raw.describe(stranger.handle("7/a"))
                assert shown.blocked.startswith("NonDeterminism: [sealed customer-7:1 ")
            assert await client.handle("7/a").cancel("wrong code") == found.blocked
            with pytest.raises(SagaCancelled):
                await client.handle("7/a").result(timeout=20)  # undone from its journal
        assert s.SECRET.encode() not in written(tmp_path)

    play(scenario())


def test_a_value_that_was_changed_or_moved_blocks_its_run(tmp_path: pathlib.Path, keys: KeyFolder) -> None:
    async def scenario() -> None:
        async with at_work(tmp_path, sealed_by(keys)) as client:
            await client.start(s.waits, s.SECRET, id="7/a")
            await until(client, "7/a", lambda one: any(step.state == "done" for step in one.steps))
        other = KeyRing({"customer-7:1": bytes(32)})
        async with at_work(tmp_path, sealed_by(other)) as client:
            found = await until(client, "7/a", lambda one: bool(one.blocked))
            assert "SealBroken" in found.blocked
            assert "was changed, was made for another place" in found.blocked

    play(scenario())


def swap_results(path: pathlib.Path) -> None:
    """Somebody who may write the journal gives each of two sagas what a step of the other returned."""
    database = sqlite3.connect(path)
    rows = database.execute("SELECT head, seq, event FROM events ORDER BY head, seq").fetchall()
    done = [(head, seq, event) for head, seq, data in rows if (event := h.Event.FromString(data)).HasField("step_completed")]
    (first, seq, one), (second, other_seq, other) = done
    held = one.step_completed.result.SerializeToString()
    one.step_completed.result.CopyFrom(other.step_completed.result)
    other.step_completed.result.ParseFromString(held)
    for head, place, event in ((first, seq, one), (second, other_seq, other)):
        database.execute("UPDATE events SET event = ? WHERE head = ? AND seq = ?", (event.SerializeToString(), head, place))
    database.commit()
    database.close()


def test_a_result_that_was_moved_to_another_saga_in_the_journal_is_not_taken(tmp_path: pathlib.Path, keys: KeyFolder) -> None:
    async def scenario() -> None:
        async with at_work(tmp_path, sealed_by(keys)) as client:
            for saga_id in ("7/a", "7/b"):
                await client.start(s.waits, s.SECRET, id=saga_id)
                await until(client, saga_id, lambda one: any(step.state == "done" for step in one.steps))
        swap_results(tmp_path / "j.db")
        async with at_work(tmp_path, sealed_by(keys)) as client:
            for saga_id in ("7/a", "7/b"):
                await client.handle(saga_id).signal("tell", "then")
                assert "SealBroken" in (await until(client, saga_id, lambda one: bool(one.blocked))).blocked
            sealed = await raw.history(client.handle("7/a"))
            assert [event.sealed for event in sealed] == [False, False, True], "a client shows what it can open"
        swap_results(tmp_path / "j.db")
        async with at_work(tmp_path, sealed_by(keys)) as client:
            assert await client.handle("7/a").result() == f"hello {s.SECRET}, then"

    play(scenario())


def test_a_start_that_is_repeated_is_compared_by_its_plain_arguments(tmp_path: pathlib.Path, keys: KeyFolder) -> None:
    async def scenario() -> None:
        large = s.SECRET * 5_000
        async with at_work(tmp_path, sealed_by(keys)) as client:
            for saga, name in (("7/a", s.SECRET), ("7/b", large)):
                assert not (await client.start(s.waits, name, id=saga)).already_started
                assert (await client.start(s.waits, name, id=saga)).already_started
                with pytest.raises(AlreadyStarted):
                    await client.start(s.waits, f"{name}!", id=saga)

    play(scenario())


@saga
async def keeps_state() -> None:
    state.set("paid", True)
    state.set("n", 3)
    await signal("go")


def test_state_is_never_read_out_of_what_is_sealed(keys: KeyFolder, tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        async with at_work(tmp_path, sealed_by(keys), [keeps_state]) as client:
            await client.start(keeps_state, id="7/1")
            await until(client, "7/1", lambda found: len(found.state) == 2)
            assert await client.handle("7/1").state() == {"paid": True, "n": 3}
        async with at_work(tmp_path, None, [s.waits]) as client:
            handle = client.handle("7/1")
            with pytest.raises(MissingKey, match="give connect"):
                await handle.state()
            overview = await handle.overview()
            assert {type(value) for value in overview.state.values()} == {str}
            assert all(value.startswith("sealed with the key") for value in overview.state.values())

    play(scenario())
