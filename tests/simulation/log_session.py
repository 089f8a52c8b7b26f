"""A server's way to the tables of the logs: each statement is slow and fails as those of a network do.

A plain write reaches each replica by itself and is acknowledged by the second; the third may get it much later, or never. A
read asks two replicas one after the other, and leaves on both what it found on one. A statement that was not answered may
have reached none, some or all. `needs` and `repairs` are what planted bugs change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from durable_saga_server.journal import JournalUnavailable, Run
from durable_saga_server.journal.cassandra.tails import TailRow
from durable_saga_server.journal.faults import Fault

from tests.simulation.log_tables import QUORUM, REPLICAS, LogTables, Replica, RowKey, Values

if TYPE_CHECKING:
    from tests.simulation.log_journal import LoggedJournal
    from tests.simulation.world import World

APART_SHARE = 0.05
"""Of plain writes that the third replica gets much later or never."""
APART_US_MAX = 60_000_000
SLOW_SHARES = (0.0, 0.05, 0.3)
SLOW_US_MAX = 1_500_000
"""Of the ways to one replica, by the world, how many take so long."""
LATE_US_MAX = 20_000_000
TIMEOUT_US = 2_000_000
NEVER_LATE = ("purge_inbox", "consume")
"""What has a timestamp on Cassandra that keeps it from a message of a later life."""
Write = Callable[[Replica], None]
Look = Callable[[Replica], Any]


class SimulatedSession:
    """Of one server process, as a journal on Cassandra uses its session."""

    needs: dict[str, int] = {}  # noqa: RUF012  # how many replicas answer; the others: QUORUM
    repairs: bool = True
    revocations_kept_us = 10**18

    def __init__(self, journal: LoggedJournal, world: World, tables: LogTables) -> None:
        self._journal, self._world, self._tables = journal, world, tables

    async def conditional(self, *parts: tuple[str, Values]) -> Any:
        async def call() -> Any:
            return self._tables.conditional(parts)

        return await self._journal.conditional(f"log.{parts[0][0]}", call)

    async def read(self, name: str, *values: Any) -> list[tuple[Any, ...]]:
        if (plain := getattr(self, f"_{name}", None)) is not None:
            found: list[tuple[Any, ...]] = await plain(*values)
            return found

        async def call() -> Any:
            method = {"events": self._tables.read_events}.get(name) or getattr(self._tables, name)
            return method(*values)

        answer: list[tuple[Any, ...]] = await self._journal.plain(f"log.{name}", call, may_be_late=name not in NEVER_LATE)
        return answer

    async def write_together(self, name: str, rows: Sequence[Values]) -> None:
        found = [
            (row[0], RowKey(Run(*row[1:4]), *row[4:7]), TailRow(row[6], row[7], row[8], row[9], tuple(row[10]))) for row in rows
        ]

        def write(replica: Replica) -> None:
            for log, key, row in found:
                if log not in replica.dropped_logs:
                    replica.rows.setdefault(log, {})[key] = row
            for log, key, _ in found:
                self._tables.has_row(log, key)

        await self._write(name, write)

    # --- fences and logs -------------------------------------------------------------------------------------------------

    async def _fence_open(self, log: str) -> list[Any]:
        return await self._write("fence_open", lambda one: None if log in one.dropped_fences else one.opened.add(log))

    async def _fence_close(self, log: str) -> list[Any]:
        return await self._write("fence_close", lambda one: one.closed.add(log))

    async def _fence_revoke(self, log: str, *values: Any) -> list[Any]:
        term = Run(*values[:3]), values[3], values[4]

        def write(replica: Replica) -> None:
            if log not in replica.dropped_fences:
                replica.revoked.setdefault(log, {}).setdefault(term, self._world.loop.now_us)

        return await self._write("fence_revoke", write)

    async def _fence_drop(self, log: str) -> list[Any]:
        def write(replica: Replica) -> None:
            replica.opened.discard(log)
            replica.closed.discard(log)
            replica.revoked.pop(log, None)
            replica.dropped_fences.add(log)

        return await self._write("fence_drop", write)

    async def _log_drop(self, log: str) -> list[Any]:
        def write(replica: Replica) -> None:
            replica.rows.pop(log, None)
            replica.dropped_logs.add(log)

        return await self._write("log_drop", write)

    async def _fence(self, log: str) -> list[Any]:
        since_us = self._world.loop.now_us - self.revocations_kept_us

        def look(one: Replica) -> Any:
            revoked = {term: at for term, at in one.revoked.get(log, {}).items() if at > since_us}
            return log in one.dropped_fences, log in one.opened, log in one.closed, revoked

        def repair(one: Replica, answers: Sequence[Any]) -> None:
            if log not in one.dropped_fences:
                for _, is_opened, is_closed, revoked in answers:
                    one.opened |= {log} if is_opened else set()
                    one.closed |= {log} if is_closed else set()
                    one.revoked[log] = revoked | one.revoked.get(log, {})

        answers = await self._ask("fence", look, repair)
        if any(one[0] for one in answers):
            return []
        opened, closed = any(one[1] for one in answers) or None, any(one[2] for one in answers) or None
        terms = sorted({term for one in answers for term in one[3]})
        rows = [(opened, closed, *run, incarnation, term) for run, incarnation, term in terms]
        return rows or ([(opened, closed, *[None] * 5)] if opened or closed else [])

    async def _log_rows(self, log: str, *values: Any) -> list[Any]:
        run, (incarnation, term, from_seq) = Run(*values[:3]), values[3:]
        found = await self._rows("log_rows", log, lambda key: key[:3] == (run, incarnation, term) and key.seq >= from_seq)
        return [tuple(row) for _, row in sorted(found.items())]

    async def _log_terms(self, log: str) -> list[Any]:
        return [(*key.run, key.incarnation, key.term) for key in sorted(await self._rows("log_terms", log, lambda _: True))]

    async def _rows(self, name: str, log: str, wanted: Callable[[RowKey], bool]) -> dict[RowKey, TailRow]:
        def look(one: Replica) -> Any:
            rows = {key: row for key, row in one.rows.get(log, {}).items() if wanted(key)}
            return log in one.dropped_logs, rows

        def repair(one: Replica, answers: Sequence[Any]) -> None:
            if log not in one.dropped_logs:
                for _, rows in answers:
                    one.rows.setdefault(log, {}).update(rows)
            for key in [key for _, rows in answers for key in rows]:
                self._tables.has_row(log, key)

        answers = await self._ask(name, look, repair)
        return {} if any(one[0] for one in answers) else {key: row for _, rows in answers for key, row in rows.items()}

    # --- to and from replicas --------------------------------------------------------------------------------------------

    async def _write(self, name: str, write: Write) -> list[Any]:
        """Acknowledged when enough have it. Raises JournalUnavailable."""
        fault, world, need = self._journal.begin(), self._world, self.needs.get(name, QUORUM)
        done: asyncio.Future[None] = world.loop.create_future()
        left = need

        def arrives(replica: Replica) -> None:
            nonlocal left
            write(replica)
            left -= 1
            if not left and fault is Fault.NONE:
                world.loop.at(world.loop.now_us + world.delay_us("journal"), self._journal.process.context, _tell, done)

        slow_share = SLOW_SHARES[world.seed % len(SLOW_SHARES)]
        third = world.dice.randrange(REPLICAS) if world.dice.random() < APART_SHARE else -1
        for number, replica in enumerate(self._tables.replicas):
            at = world.loop.now_us + world.delay_us("journal")
            at += world.dice.randrange(SLOW_US_MAX) if world.dice.random() < slow_share else 0
            if number == third or (fault is not Fault.NONE and world.dice.random() < 0.5):
                if world.dice.random() < 0.5:
                    continue
                at += world.dice.randrange(APART_US_MAX if fault is Fault.NONE else LATE_US_MAX)
            elif fault is Fault.LOST_REQUEST:
                continue
            world.loop.at(at, world.context, arrives, replica)
        await self._answered(name, done, fault)
        return []

    async def _ask(self, name: str, look: Look, repair: Callable[[Replica, Sequence[Any]], None]) -> list[Any]:
        """What enough of them say, one after the other; what one lacks is written to it before the answer."""
        fault, world, need = self._journal.begin(), self._world, self.needs.get(name, QUORUM)
        done: asyncio.Future[None] = world.loop.create_future()
        asked = world.dice.sample(self._tables.replicas, need)
        answers: list[Any] = []

        def asks(replica: Replica) -> None:
            answers.append(look(replica))
            at = world.loop.now_us + world.delay_us("journal")
            if len(answers) < need:
                world.loop.at(at, world.context, asks, asked[len(answers)])
                return
            if self.repairs:
                for one in asked:
                    repair(one, answers)
            if fault is Fault.NONE:
                world.loop.at(at, self._journal.process.context, _tell, done)

        world.loop.at(world.loop.now_us + world.delay_us("journal"), world.context, asks, asked[0])
        await self._answered(name, done, fault)
        return answers

    async def _answered(self, name: str, done: asyncio.Future[None], fault: Fault) -> None:
        if fault is Fault.NONE:
            await done
            return
        self._world.say(self._journal.process.name, f"journal log.{name}: {fault.value}")
        await asyncio.sleep(TIMEOUT_US / 1_000_000)
        raise JournalUnavailable(f"a time-out, by the plan ({fault.value})")


def _tell(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
