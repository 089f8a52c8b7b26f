"""A worker that dies, hangs, or brings the wrong code: the saga goes on elsewhere, or waits visibly."""

from __future__ import annotations

import asyncio
import os
import pathlib
import signal
import time
from dataclasses import replace
from typing import Any

from durable_saga_server.journal import Journal, Run
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.wrapping import Call, WrappedJournal
from durable_saga_server.service import HistoryService

from durable_saga import Client, Handle, SagaFunction, Worker, connect, saga, step
from durable_saga import signal as wait_for_signal
from durable_saga.client import raw
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.transport.transport import LocalTransport
from examples.demo.processes import Process

APP = """
import os, pathlib, time
from durable_saga import saga, step, Retry, step_context

def mark(text):
    with open(os.environ["MARKS"], "a") as file:
        file.write(f"{text} {os.getpid()} {step_context().attempt} {step_context().fencing_token}\\n")

@step(retry=Retry(max_attempts=5))
def before() -> None: mark("before")

@step
async def during() -> None:
    mark("during")
    time.sleep(float(os.environ.get("BLOCK", "0")))  # blocks the event loop on purpose
    import asyncio
    await asyncio.sleep(float(os.environ.get("HANG", "0")))

@step(at_most_once=True, retry=Retry(max_attempts=5))
async def once() -> None:
    mark("once")
    import asyncio
    await asyncio.sleep(float(os.environ.get("HANG", "0")))

@saga
async def two() -> str:
    await before()
    await during()
    return "done"

@saga
async def careful() -> str:
    from durable_saga.errors import StepInterrupted
    try:
        await once()
    except StepInterrupted:
        return "interrupted"
    return "done"
"""


class Stage:
    """A server and as many workers as a test needs."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.marks = folder / "marks"
        (folder / "app.py").write_text(APP)
        command = ["-m", "durable_saga", "dev", "--file", f"{folder}/d.db", "--listen", "127.0.0.1:0"]
        self.server = Process("server", command, folder, "listening on")
        self.url = self.server.start({})
        self.workers: list[Process] = []

    def worker(self, **environment: str) -> Process:
        name = f"worker-{len(self.workers)}"
        process = Process(name, ["-m", "durable_saga", "worker", "app"], self.folder, "worker")
        paths = {"DURABLE_SAGA_URL": self.url, "PYTHONPATH": str(self.folder), "MARKS": str(self.marks)}
        process.start({**paths, **environment})
        self.workers.append(process)
        return process

    def rows(self) -> list[list[str]]:
        return [line.split() for line in self.marks.read_text().splitlines()] if self.marks.exists() else []

    async def seen(self, text: str) -> list[str]:
        while not (found := [row for row in self.rows() if row[0] == text]):
            await asyncio.sleep(0.02)
        return found[0]

    def stop(self) -> None:
        for process in [*self.workers, self.server]:
            process.kill()


async def result_of(url: str, name: str, meanwhile: object = None) -> str:
    async with connect(url) as client:
        handle = await client.start(name, id=name)
        if callable(meanwhile):
            await meanwhile()
        return str(await handle.result(timeout=40))


def test_another_worker_goes_on_in_the_middle_and_repeats_no_step_that_was_done(tmp_path: pathlib.Path) -> None:
    stage = Stage(tmp_path)
    try:
        first = stage.worker(HANG="60")

        async def kill() -> None:
            await stage.seen("during")
            first.kill()
            self_began.append(time.monotonic())
            await asyncio.to_thread(stage.worker)

        self_began: list[float] = []
        assert asyncio.run(result_of(stage.url, "two", kill)) == "done"
        assert time.monotonic() - self_began[0] < 15
        rows = stage.rows()
        assert [row[0] for row in rows] == ["before", "during", "during"]
        assert int(rows[2][3]) > int(rows[1][3]), "the fencing token grows with a take-over"
    finally:
        stage.stop()


def test_a_restarted_server_leaves_a_run_with_the_worker_that_is_still_alive(tmp_path: pathlib.Path) -> None:
    stage = Stage(tmp_path)
    try:
        stage.worker(HANG="3")

        async def restart() -> None:
            await stage.seen("during")
            stage.server.kill()
            command = ["-m", "durable_saga", "dev", "--file", f"{tmp_path}/d.db", "--listen", stage.url]
            stage.server = Process("server-again", command, tmp_path, "listening on")
            await asyncio.to_thread(stage.server.start, {})

        assert asyncio.run(result_of(stage.url, "two", restart)) == "done"
        rows = stage.rows()
        assert [row[0] for row in rows] == ["before", "during"], "nothing ran a second time"
        assert rows[0][3] == rows[1][3], "nobody else took it over"
    finally:
        stage.stop()


def test_a_hung_worker_loses_its_sagas_and_is_fenced_when_it_wakes(tmp_path: pathlib.Path) -> None:
    stage = Stage(tmp_path)
    try:
        stage.worker(HANG="3")

        async def hang() -> None:
            pid = int((await stage.seen("during"))[1])
            os.kill(pid, signal.SIGSTOP)
            await asyncio.to_thread(stage.worker)
            await asyncio.sleep(14)
            os.kill(pid, signal.SIGCONT)

        assert asyncio.run(result_of(stage.url, "two", hang)) == "done"
        assert [row[0] for row in stage.rows()] == ["before", "during", "during"]
    finally:
        stage.stop()


def test_at_most_once_is_not_repeated_after_a_crash(tmp_path: pathlib.Path) -> None:
    stage = Stage(tmp_path)
    try:
        first = stage.worker(HANG="60")

        async def kill() -> None:
            await stage.seen("once")
            first.kill()
            await asyncio.to_thread(stage.worker)

        assert asyncio.run(result_of(stage.url, "careful", kill)) == "interrupted"
        assert [row[0] for row in stage.rows()] == ["once"]
    finally:
        stage.stop()


def test_a_blocked_event_loop_is_reported_with_its_line_and_keeps_its_sagas(tmp_path: pathlib.Path) -> None:
    stage = Stage(tmp_path)
    try:
        stage.worker(BLOCK="11")
        assert asyncio.run(result_of(stage.url, "two")) == "done"
        assert [row[0] for row in stage.rows()] == ["before", "during"]
        assert "blocked at" in (tmp_path / "server.log").read_text()
        assert "app.py" in (tmp_path / "worker-0.log").read_text()
    finally:
        stage.stop()


@step
def pack(what: str) -> str:
    return what


@saga(name="changing")
async def old_code() -> str:
    await pack("a")
    await asyncio.sleep(3)
    return await pack("b")


@saga(name="changing")
async def new_code() -> str:
    await asyncio.sleep(3)
    return await pack("c")


def test_a_changed_saga_waits_as_blocked_and_goes_on_when_the_right_code_is_back(tmp_path: pathlib.Path) -> None:
    async def work(client: Client, code: SagaFunction[..., str], until: float) -> c.Description:
        async with Worker(client, sagas=[code]):
            await asyncio.sleep(until)
            return await raw.describe(client.handle("c-1"))

    async def scenario() -> None:
        async with connect(f"sqlite:///{tmp_path}/j.db") as client:
            handle = await client.start(old_code, id="c-1")
            await work(client, old_code, 0.5)
            blocked = await work(client, new_code, 3.5)
            assert blocked.status == h.RUNNING
            assert "step scheduled 'pack' (call 1)" in blocked.blocked
            assert "test_recovery.py" in blocked.blocked
            async with Worker(client, sagas=[old_code]):
                assert await handle.result(timeout=30) == "b"
            assert (await raw.describe(handle)).blocked == ""

    asyncio.run(scenario())


class ForgetfulJournal(WrappedJournal):
    """A server that dies behind its commit, before the messages of it leave the inbox; three times."""

    def __init__(self) -> None:
        super().__init__(MemoryJournal())
        self.forgets = 3

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        if name == "runs.commit_many" and self.forgets and any(commit.consumed for commit in args[0]):
            self.forgets -= 1
            return await call([replace(commit, consumed=()) for commit in args[0]])
        return await call(*args)


@saga
async def hears_three() -> list[str]:
    return [await wait_for_signal("word", str) for _ in range(3)]


def test_a_message_that_stays_in_the_inbox_behind_its_commit_takes_effect_once() -> None:
    async def scenario() -> None:
        journal = ForgetfulJournal()
        service = HistoryService(journal)
        async with Client(LocalTransport(service)) as client, Worker(client, sagas=[hears_three]):
            handle = await client.start(hears_three, id="h")
            words = ["one", "two", "three"]
            for number, word in enumerate(words):
                await handle.signal("word", word)
                while len([e for e in await raw.history(handle) if e.HasField("signal_received")]) <= number:
                    await asyncio.sleep(0.02)
                await wait_until_parked(journal, handle)
            assert await handle.result() == words
            assert journal.forgets == 0
            received = [e.signal_received.message_id for e in await raw.history(handle) if e.HasField("signal_received")]
            assert len(received) == len(set(received)) == 3

    asyncio.run(asyncio.wait_for(scenario(), 60))


async def wait_until_parked(journal: Journal, handle: Handle[list[str]]) -> None:
    """It then comes back with all that is in its inbox."""
    while (head := await journal.runs.head(Run("default", handle.id))) is not None and head.owner:
        await asyncio.sleep(0.05)


@saga
async def hears_two() -> list[str]:
    return [await wait_for_signal("word", str) for _ in range(2)]


def test_a_parked_saga_empties_its_inbox_of_what_it_had_taken() -> None:
    async def scenario() -> None:
        journal = ForgetfulJournal()
        journal.forgets = 1
        async with Client(LocalTransport(HistoryService(journal))) as client, Worker(client, sagas=[hears_two]):
            handle = await client.start(hears_two, id="h")
            await handle.signal("word", "one")
            while not any(e.HasField("signal_received") for e in await raw.history(handle)):
                await asyncio.sleep(0.02)
            assert await journal.inbox.unread(Run("default", "h"))
            await wait_until_parked(journal, handle)
            await handle.signal("word", "two")
            assert await handle.result() == ["one", "two"]
            assert not await journal.inbox.unread(Run("default", "h"))

    asyncio.run(asyncio.wait_for(scenario(), 60))
