"""One server on SQLite and the workers of the table, each a process of its own; a client that starts entries and watches."""

from __future__ import annotations

import asyncio
import pathlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from durable_saga import Client, Handle, codec, connect
from durable_saga.client import raw
from durable_saga.client.overview import Overview
from durable_saga.errors import ClientError
from examples.demo.processes import Process, free_address
from tests.nasty import dying, ledger
from tests.nasty.entry import Entry, Told
from tests.nasty.judge import Seen

LOOK_SECONDS = 2.0
ENDS = ("completed", "compensated", "failed", "cancelled", "terminated", "compensation_stuck", "held")
SECONDS_MAX = 90.0
"""Until an entry must be over: many times what it takes on a machine with nothing else to do."""
PENDING_SECONDS = 12.0
"""The same, for those that are known not to come out right; from the end of the others."""


@dataclass
class Group:
    """Entries that share a namespace and its workers. `pending`: they are known to come out wrong."""

    name: str
    entries: Sequence[Entry]
    app: str = "tests.nasty.table:SAGAS"
    workers: int = 1
    concurrency: int = 100
    pending: bool = False
    processes: list[Process] = field(default_factory=list)
    neighbours: list[Any] = field(default_factory=list)
    """What the sagas beside the entries gave, or the error in words."""
    restarts: int = 0


class House:
    """`open()`, `play()`, `close()`; what died and was not to die is in `died`."""

    def __init__(self, folder: pathlib.Path, groups: Sequence[Group]) -> None:
        self.folder = folder
        self.groups = [one for one in groups if one.entries]
        self.url = free_address()
        self.place = folder / "ledger"
        serve = ["-m", "durable_saga", "server", "--journal", f"sqlite:///{folder}/journal.db", "--listen", self.url]
        self.server = Process("server", serve, folder, "listening on")
        self.died: list[str] = []
        self._watching = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def open(self) -> None:
        self.server.start({})
        for group in self.groups:
            for number in range(group.workers):
                command = ["-m", "durable_saga", "worker", group.app, "--url", self.url, "--namespace", group.name]
                command += ["--concurrency", str(group.concurrency)]
                group.processes.append(Process(f"{group.name}-{number}", command, self.folder, "worker"))
        starting = [threading.Thread(target=self.start, args=[one]) for group in self.groups for one in group.processes]
        for thread in starting:
            thread.start()
        for thread in starting:
            thread.join()
        self._keeper.start()

    def start(self, process: Process, *, wait: bool = True) -> None:
        process.start({ledger.PLACE: str(self.place)}, wait=wait)

    def _keep(self) -> None:
        """A worker that has ended by itself is started again, as a supervisor does."""
        while not self._watching.wait(0.1):
            for group in self.groups:
                for process in group.processes:
                    if process.ended and not self._watching.is_set():
                        group.restarts += 1
                        if not group.pending and not group.name.startswith("dies"):
                            self.died.append(process.name)
                        self.start(process, wait=False)

    def close(self) -> dict[str, int]:
        """Exit codes of the workers after SIGTERM, by name."""
        self._watching.set()
        self._keeper.join()
        codes: dict[str, int] = {}

        def stop(process: Process) -> None:
            codes[process.name] = process.stop()

        stopping = [threading.Thread(target=stop, args=[one]) for group in self.groups for one in group.processes]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()
        self.server.stop()
        return codes

    # --- playing -------------------------------------------------------------------------------------------------------------

    async def play(self, *, over_seconds: float = 0.0, killed: bool = False) -> dict[str, Seen]:
        """What is seen of each entry, by its name. The starts are spread over so many seconds."""
        ordinary = asyncio.Event()
        left = [group for group in self.groups if not group.pending]

        async def one(group: Group) -> list[Seen]:
            try:
                return await self._play(group, ordinary, over_seconds, killed)
            finally:
                if group in left:
                    left.remove(group)
                if not left:
                    ordinary.set()

        found = await asyncio.gather(*(one(group) for group in self.groups))
        return {seen.entry.name: seen for many in found for seen in many}

    async def _play(self, group: Group, ordinary: asyncio.Event, over_seconds: float, killed: bool) -> list[Seen]:
        async with connect(self.url, namespace=group.name) as client:
            pause = over_seconds / len(group.entries)
            follow = [
                asyncio.create_task(self._follow(client, entry, number * pause, group.pending, ordinary, killed))
                for number, entry in enumerate(group.entries)
            ]
            beside = [
                asyncio.create_task(_neighbour(client, f"{number}-{group.name}", 0.3 + number * over_seconds / 3))
                for number in range(3)
            ]
            found = await asyncio.gather(*follow)
            if not group.pending:
                group.neighbours = [
                    await one for one in [*beside, asyncio.create_task(_neighbour(client, f"last-{group.name}", 0))]
                ]
            for task in beside:
                task.cancel()
            return found

    async def _follow(
        self, client: Client, entry: Entry, after: float, pending: bool, ordinary: asyncio.Event, killed: bool
    ) -> Seen:
        await asyncio.sleep(after)
        handle: Handle[Any] = await client.start(entry.saga, *entry.args, id=entry.name)
        wrong: list[str] = []
        for told in entry.told:
            await asyncio.sleep(told.after)
            await self._has_begun(entry.name, told.once)
            if (words := await _tell(client.handle(handle.id), told)) and not killed:
                wrong.append(words)
        overview = await self._until_over(handle, entry, pending, ordinary)
        judged = overview.status in ENDS and not killed
        at_the_end = sum(row.saga == entry.name for row in ledger.rows(self.place)) if judged else None
        history = await raw.history(handle)
        result = None
        if overview.status == "completed" and history[-1].saga_ended.result.data:
            result = codec.decode(history[-1].saga_ended.result.data)
        return Seen(
            entry, overview.status, overview.blocked, history, [], result, overview.state, overview.error or "",
            killed=killed, not_refused=wrong, at_the_end=at_the_end,
        )  # fmt: skip

    async def _has_begun(self, saga: str, label: str) -> None:
        """An effect of that saga; the entry is judged as it is when that takes too long."""
        until = time.monotonic() + SECONDS_MAX
        while label and time.monotonic() < until:
            if any(row.saga == saga and row.label == label for row in ledger.rows(self.place)):
                return
            await asyncio.sleep(0.1)

    async def _until_over(self, handle: Handle[Any], entry: Entry, pending: bool, ordinary: asyncio.Event) -> Overview:
        """As it stands when it has ended or needs an operator, or when its time is over."""
        until = time.monotonic() + SECONDS_MAX
        while True:
            try:
                await handle.result(timeout=LOOK_SECONDS)
            except Exception:
                pass  # it is not over, or its failure is read below
            overview = await handle.overview()
            given_up = overview.blocked and entry.status == "blocked"
            if overview.status in ENDS or given_up or time.monotonic() > until:
                return overview
            if pending and ordinary.is_set():
                until = min(until, time.monotonic() + PENDING_SECONDS)

    def read_ledger(self, seen: dict[str, Seen]) -> None:
        """When nobody works any more."""
        for row in ledger.rows(self.place):
            if row.saga in seen:
                seen[row.saga].rows.append(row)


async def _tell(handle: Handle[Any], told: Told) -> str:
    try:
        if told.verb == "signal":
            await handle.signal(told.name, *told.args)
        else:
            await getattr(handle, told.verb)("the table")
    except ClientError as error:
        return "" if told.refused else f"{told.verb} {told.name} was refused: {error}"
    return f"{told.verb} {told.name} was not refused" if told.refused else ""


async def _neighbour(client: Client, name: str, after: float) -> Any:
    await asyncio.sleep(after)
    try:
        return await (await client.start(dying.neighbour, id=f"neighbour-{name}")).result(timeout=SECONDS_MAX)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
