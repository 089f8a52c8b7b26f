"""The journal in memory: the reference for the other stores, and the store of tests. Nothing survives the process.

Every method is atomic because none of them waits. Tests look at `tables`; `wrapping` lets something happen around a call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal import (
    INBOX_BYTES_MAX,
    INBOX_MESSAGES_MAX,
    MEMBER_KEPT_MS,
    Commit,
    Committed,
    Created,
    Exists,
    Filter,
    Head,
    Hint,
    InboxFull,
    Listed,
    Member,
    Outcome,
    Run,
    Standings,
    Switch,
    Tally,
    Unknown,
)
from durable_saga_server.journal.ledger import MemoryLedger
from durable_saga_server.journal.rules import (
    cut_changes,
    cut_hints,
    decide_acquire,
    decide_commit,
    decide_purge,
    decide_switch,
    hints_of,
    in_order,
    is_noteworthy,
    keys_in,
    page_token,
    passes,
    read_page_token,
    standing_kind,
    standings_of,
    tallies_of,
    tally_kind,
)


@dataclass(slots=True)
class Tables:
    heads: dict[Run, Head] = field(default_factory=dict)
    events: dict[Run, list[h.Event]] = field(default_factory=dict)
    inbox: dict[Run, dict[str, h.InboxMessage | None]] = field(default_factory=dict)
    """None: consumed."""
    hints: dict[int, set[tuple[int, str, str, int]]] = field(default_factory=dict)
    watermarks: dict[int, int] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    keys: dict[tuple[str, str], dict[Run, None]] = field(default_factory=dict)
    chunks: dict[Run, dict[tuple[bytes, int], tuple[int, bytes]]] = field(default_factory=dict)
    claims: dict[tuple[str, str, str], int | None] = field(default_factory=dict)
    """None: confirmed."""
    switches: dict[tuple[str, str], Switch] = field(default_factory=dict)


class MemoryJournal:
    batches_at_once = 1

    def __init__(self) -> None:
        self.tables = tables = Tables()
        self.runs = MemoryRuns(tables)
        self.inbox = MemoryInbox(tables)
        self.hints = MemoryHints(tables)
        self.chunks = MemoryChunks(tables)
        self.members = MemoryMembers(tables)
        self.index = MemoryIndex(tables)
        self.claims = MemoryClaims(tables)
        self.switches = MemorySwitches(tables)
        self.ledger = MemoryLedger()

    async def initialize(self) -> None: ...

    async def close(self) -> None: ...


class _Part:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables


class MemoryRuns(_Part):
    async def create(self, head: Head, event: h.Event, hint: Hint | None = None) -> Created | Exists | Unknown:
        tables = self._tables
        if hint is not None:
            _add_hint(tables, hint)
        if (there := tables.heads.get(head.run)) is not None:
            return Exists(there)
        tables.heads[head.run] = head
        tables.events[head.run] = [event]
        self._declare(head.run, [event])
        return Created(head)

    async def head(self, run: Run) -> Head | None:
        return self._tables.heads.get(run)

    async def glance(self, run: Run) -> Head | None:
        return await self.head(run)

    async def acquire(self, run: Run, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Outcome:
        outcome = decide_acquire(self._tables.heads.get(run), incarnation, epoch, owner, now_ms)
        if isinstance(outcome, Committed) and outcome.head is not None:
            self._tables.heads[run] = outcome.head
        return outcome

    async def commit_many(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        return [self._commit(commit) for commit in commits]

    def _commit(self, commit: Commit) -> Outcome:
        tables = self._tables
        before = tables.heads.get(commit.run)
        outcome = decide_commit(before, commit)
        if isinstance(outcome, Committed) and outcome.head is not None and outcome.head is not before:
            tables.heads[commit.run] = outcome.head
            tables.events[commit.run].extend(commit.events)
            self._declare(commit.run, commit.events)
            inbox = tables.inbox.get(commit.run, {})
            for message_id in commit.consumed:
                inbox[message_id] = None
        return outcome

    def _declare(self, run: Run, events: Sequence[h.Event]) -> None:
        for key in keys_in(events):
            self._tables.keys.setdefault((run.namespace, key), {})[run] = None

    async def events(self, run: Run, from_seq: int, limit: int) -> Sequence[h.Event]:
        return self._tables.events.get(run, [])[from_seq : from_seq + limit]

    async def advance(self, run: Run, incarnation: bytes, newest: int) -> None:
        head = self._tables.heads.get(run)
        if head is not None and head.incarnation == incarnation and head.newest < newest:
            self._tables.heads[run] = replace(head, newest=newest)

    async def purge(self, run: Run, incarnation: bytes, before_ms: int) -> Outcome:
        tables = self._tables
        outcome = decide_purge(tables.heads.get(run), incarnation)
        if isinstance(outcome, Committed) and outcome.head is not None:
            for key in keys_in(tables.events.pop(run)):
                tables.keys.get((run.namespace, key), {}).pop(run, None)
            _drop_chunks(tables, run, before_ms)
            tables.inbox.pop(run, None)
            del tables.heads[run]
        return outcome


class MemoryInbox(_Part):
    async def put(self, run: Run, message: h.InboxMessage) -> bool:
        inbox = self._tables.inbox.setdefault(run, {})
        if message.message_id in inbox:
            return False
        unread = [kept for kept in inbox.values() if kept is not None]
        if len(unread) % 256 == 0 and sum(kept.ByteSize() for kept in unread) >= INBOX_BYTES_MAX:
            raise InboxFull(
                f"{run.saga} has {INBOX_BYTES_MAX} bytes of unread messages (INBOX_BYTES_MAX): send more when it has read some"
            )
        if len(unread) >= INBOX_MESSAGES_MAX:
            raise InboxFull(
                f"{run.saga} has {INBOX_MESSAGES_MAX} unread messages (INBOX_MESSAGES_MAX): send more when it has read some"
            )
        inbox[message.message_id] = message
        return True

    async def has(self, run: Run, message_id: str) -> bool:
        return message_id in self._tables.inbox.get(run, {})

    async def unread(self, run: Run) -> Sequence[h.InboxMessage]:
        kept = [message for message in self._tables.inbox.get(run, {}).values() if message is not None]
        return in_order(kept)


class MemoryHints(_Part):
    async def add(self, hint: Hint) -> None:
        _add_hint(self._tables, hint)

    async def due(self, shard: int, after_ms: int, until_ms: int, limit: int) -> Sequence[Hint]:
        rows = sorted(row for row in self._tables.hints.get(shard, ()) if after_ms < row[0] <= until_ms)
        return hints_of(shard, cut_hints(rows, limit))

    async def bring_near(self, shard: int, until_ms: int) -> None: ...

    async def watermark(self, shard: int) -> int:
        return self._tables.watermarks.get(shard, 0)

    async def set_watermark(self, shard: int, due_ms: int) -> None:
        hints, watermarks = self._tables.hints, self._tables.watermarks
        passed = watermarks[shard] = max(watermarks.get(shard, 0), due_ms)
        hints[shard] = {row for row in hints.get(shard, ()) if row[0] > passed}


class MemoryChunks(_Part):
    async def put(self, run: Run, digest: bytes, first: int, chunks: Sequence[bytes], now_ms: int) -> None:
        kept = self._tables.chunks.setdefault(run, {})
        for part, chunk in enumerate(chunks, first):
            kept[digest, part] = (max(now_ms, kept.get((digest, part), (0, b""))[0]), chunk)

    async def read(self, run: Run, digest: bytes, first: int, limit: int) -> Sequence[bytes]:
        kept = self._tables.chunks.get(run, {})
        found = [kept.get((digest, part)) for part in range(first, first + limit)]
        return [one[1] for one in found if one is not None]

    async def drop(self, run: Run, before_ms: int) -> bool:
        return _drop_chunks(self._tables, run, before_ms)


class MemoryMembers(_Part):
    async def beat(self, member: Member) -> None:
        members, since_ms = self._tables.members, member.seen_ms - MEMBER_KEPT_MS
        members[member.name] = member
        self._tables.members = {name: one for name, one in members.items() if one.seen_ms > since_ms}

    async def all(self) -> Sequence[Member]:
        members = self._tables.members
        return [members[name] for name in sorted(members)]

    async def leave(self, name: str) -> None:
        self._tables.members.pop(name, None)


class MemoryIndex(_Part):
    async def listing(self, filter: Filter, limit: int, page: str) -> Listed:
        heads = [head for head in self._tables.heads.values() if passes(head, filter)]
        heads.sort(key=lambda head: (-head.started_ms, head.run.saga, head.run.run))
        if page:
            started_ms, saga, run = read_page_token(page)
            after = (-started_ms, saga, run)
            heads = [head for head in heads if (-head.started_ms, head.run.saga, head.run.run) > after]
        more = len(heads) > limit
        return Listed(heads[:limit], page_token(heads[limit - 1]) if more else "")

    async def keyed(self, namespace: str, key: str, limit: int) -> Sequence[Run]:
        return list(self._tables.keys.get((namespace, key), ()))[:limit]

    async def drop_key(self, namespace: str, key: str, run: Run, before_ms: int) -> None:
        head = self._tables.heads.get(run)
        if head is None or head.started_ms < before_ms:
            self._tables.keys.get((namespace, key), {}).pop(run, None)

    async def changes(self, namespace: str, after_ms: int, limit: int) -> Sequence[Head]:
        heads = [one for one in self._tables.heads.values() if is_noteworthy(one) and one.updated_ms > after_ms]
        heads = [one for one in heads if one.run.namespace == namespace]
        return cut_changes(sorted(heads, key=lambda one: (one.updated_ms, one.run.saga, one.run.run)), limit)

    async def tallies(self, namespace: str) -> Sequence[Tally]:
        heads = [one for one in self._tables.heads.values() if one.run.namespace == namespace]
        return tallies_of(Counter(map(tally_kind, heads)))

    async def standings(self, namespace: str) -> Standings:
        heads = [one for one in self._tables.heads.values() if one.run.namespace == namespace]
        return Standings(standings_of(Counter(map(standing_kind, heads))))

    def list_again(self, head: Head) -> None: ...

    def is_listed(self, run: Run) -> bool:
        return True


class MemoryClaims(_Part):
    async def claim(self, namespace: str, group: str, item: str, now_ms: int, until_ms: int) -> bool:
        held_until = self._tables.claims.get((namespace, group, item), 0)
        if held_until is None or held_until > now_ms:
            return False
        self._tables.claims[namespace, group, item] = until_ms
        return True

    async def confirm(self, namespace: str, group: str, item: str) -> None:
        self._tables.claims[namespace, group, item] = None


class MemorySwitches(_Part):
    async def all(self) -> Sequence[Switch]:
        return [switch for _, switch in sorted(self._tables.switches.items())]

    async def put(self, switch: Switch) -> bool:
        key = switch.namespace, switch.name
        is_written = decide_switch(self._tables.switches.get(key), switch)
        if is_written:
            self._tables.switches[key] = switch
        return is_written


def _add_hint(tables: Tables, hint: Hint) -> None:
    row = (hint.due_ms, hint.run.namespace, hint.run.saga, hint.run.run)
    tables.hints.setdefault(hint.shard, set()).add(row)


def _drop_chunks(tables: Tables, run: Run, before_ms: int) -> bool:
    left = {key: one for key, one in tables.chunks.pop(run, {}).items() if one[0] >= before_ms}
    if left:
        tables.chunks[run] = left
    return bool(left)
