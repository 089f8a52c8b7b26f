"""Who the members of the cell are, and which of them is the home of which shard (docs/cell.md).

Being wrong here costs a second look or a few seconds, never safety. The rows of the members are the only thing that servers
know of each other.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from durable_saga.pb import cell_pb2
from durable_saga.pb.process_names import is_gone
from durable_saga_server.clock import Clock
from durable_saga_server.config import Config
from durable_saga_server.journal import SHARDS, Journal, JournalError, Member, Run, shard_of
from durable_saga_server.tending import tend

log = logging.getLogger(__name__)


class Roll:
    """Tells who is alive from rows that are read again and again. Pure: the time comes in."""

    def __init__(self, lease_ms: int) -> None:
        self._lease_ms = lease_ms
        self._seen: dict[str, tuple[int, int]] = {}

    def live(self, rows: Iterable[Member], now_ms: int) -> list[Member]:
        """Members whose counter moved within the lease, by the reader's clock; one that is seen for the first time is
        believed to be as old as its own clock says. Of two rows with one address the younger counts."""
        seen: dict[str, tuple[int, int]] = {}
        found: dict[str, Member] = {}
        for row in rows:
            before = self._seen.get(row.name)
            if before is None:
                at_ms = now_ms if row.seen_ms > now_ms - 2 * self._lease_ms else now_ms - self._lease_ms
            else:
                at_ms = before[1] if before[0] == row.beat else now_ms
            seen[row.name] = (row.beat, at_ms)
            place = row.address or row.name
            if now_ms - at_ms < self._lease_ms and (place not in found or found[place].seen_ms < row.seen_ms):
                found[place] = row
        self._seen = seen
        return sorted(found.values(), key=lambda one: one.name)


def homes_of(members: Sequence[Member]) -> list[str]:
    """By shard, the name of its home: the highest rendezvous hash among members that have not their share yet. Members with an
    address, or all where none has one. Empty without members."""
    able = [one for one in members if one.address] or list(members)
    if not able:
        return []
    share = math.ceil(SHARDS / len(able))
    pairs = ((_score(shard, one), shard, one.name) for shard in range(SHARDS) for one in able)
    homes: dict[int, str] = {}
    counts: Counter[str] = Counter()
    for _, shard, name in sorted(pairs, reverse=True):
        if shard not in homes and counts[name] < share:
            homes[shard] = name
            counts[name] += 1
    return [homes[shard] for shard in range(SHARDS)]


def _score(shard: int, member: Member) -> bytes:
    """By address, so that a server which is started again gets its shards back."""
    return hashlib.blake2b(f"{shard}/{member.address or member.name}".encode(), digest_size=8).digest()


class Cell:
    """This engine's view. `join()` makes it a member; before that it is no home, unless nobody is."""

    def __init__(self, journal: Journal, clock: Clock, config: Config, name: str) -> None:
        self._journal = journal
        self._clock = clock
        self._config = config
        self.name = name
        self.address = ""
        self._beat = 0
        self._joined = False
        self._succeeds = False
        self._workers: Sequence[str] = ()
        self._saga_types: Sequence[str] = ()
        self._roll = Roll(config.member_lease_ms)
        self._members: list[Member] = []
        self._homes: list[str] = []
        self._listeners: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self.refreshed_ms = 0
        """When the journal last took our sign of life and told the members; 0: not yet."""

    def on_change(self, listener: Callable[[], None]) -> None:
        """Called when a home changed."""
        self._listeners.append(listener)

    def off_change(self, listener: Callable[[], None]) -> None:
        self._listeners.remove(listener)

    async def start(self) -> None:
        """Raises JournalError."""
        await self._refresh()
        self._task = tend("cell", self._tend, self._clock)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.leave()

    async def join(self, *, address: str = "", workers: Sequence[str] = (), saga_types: Sequence[str] = ()) -> None:
        """Become a member, or tell others what has changed: now, or when the journal can be reached again."""
        if self._joined and (address or self.address, workers, saga_types) == (self.address, self._workers, self._saga_types):
            return
        self._joined = True
        self._succeeds = bool(address)
        self.address = address or self.address
        self._workers, self._saga_types = workers, saga_types
        await self._try_refresh()

    async def leave(self) -> None:
        """Others take over its shards as soon as they look."""
        if not self._joined:
            return
        self._joined = False
        try:
            await self._journal.members.leave(self.name)
            await self._refresh()
        except JournalError as error:
            log.warning("the row of this server could not be removed, and stays until it expires: %s", error)

    # --- what others ask -----------------------------------------------------------------------------------------------

    @property
    def has_others(self) -> bool:
        return any(one.name != self.name for one in self._members)

    @property
    def is_embedded(self) -> bool:
        return not self.address

    def shards(self) -> list[int]:
        """Those that this engine is the home of."""
        return [shard for shard in range(SHARDS) if self._is_home(shard)]

    def is_home(self, run: Run) -> bool:
        return self._is_home(shard_of(run))

    def _is_home(self, shard: int) -> bool:
        return self._homes[shard] == self.name if self._homes else self._joined

    def with_worker(self, worker: str) -> Member | None:
        """Another member that alone can reach this worker."""
        return next((one for one in self._members if worker in one.workers and one.name != self.name), None)

    def with_type(self, saga_type: str) -> Member | None:
        """Another member that alone can reach workers for "namespace/type"."""
        return next((one for one in self._members if saga_type in one.saga_types and one.name != self.name), None)

    def others(self) -> list[Member]:
        """The other members, in order of name."""
        return [one for one in self._members if one.name != self.name]

    def view(self) -> cell_pb2.Cell:
        """For workers and clients; without servers where none has an address."""
        servers = {one.name: one.address for one in self._members if one.address}
        if not servers:
            return cell_pb2.Cell(you_are_at=self.address)
        place = {name: number for number, name in enumerate(servers)}
        return cell_pb2.Cell(
            servers=list(servers.values()), homes=[place[name] for name in self._homes], you_are_at=self.address
        )

    # --- tending ---------------------------------------------------------------------------------------------------------

    async def _tend(self) -> None:
        while True:
            await self._clock.sleep(self._config.member_beat_ms / 1000)
            await self._try_refresh()

    async def _try_refresh(self) -> None:
        try:
            await self._refresh()
        except JournalError as error:
            log.warning("the members of the cell can't be read: %s", error)

    async def _refresh(self) -> None:
        if self._joined and self._succeeds:
            for old in await self._journal.members.all():
                if old.address == self.address and old.name != self.name:
                    await self._journal.members.leave(old.name)  # an earlier life of this server
            self._succeeds = False
        if self._joined:
            self._beat += 1
            own = Member(
                self.name, self.address, self._beat, self._clock.now_ms(), tuple(self._workers), tuple(self._saga_types)
            )
            await self._journal.members.beat(own)
        rows = [one for one in await self._journal.members.all() if self._joined or one.name != self.name]
        rows = [one for one in rows if one.name == self.name or not is_gone(one.name)]
        self.refreshed_ms = self._clock.now_ms()
        self._members = self._roll.live(rows, self.refreshed_ms)
        homes = homes_of(self._members)
        if homes != self._homes:
            self._homes = homes
            names = ", ".join(one.address or one.name for one in self._members) or "none"
            log.info("members of the cell: %s", names)
            for listener in list(self._listeners):
                listener()
