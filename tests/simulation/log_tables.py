"""What Cassandra is to the logs, in memory: heads behind conditions, rows and fences on three replicas.

Heads and the events beside them change in one instant, as conditional writes do. Rows of logs and fences lie on three replicas,
which a plain write reaches one by one, some of them late or never, and which a read asks one by one. `refresh` keeps what is
committed, whoever has been told so, where the oracle looks: in the tables of the world's memory journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Head, Run
from durable_saga_server.journal.cassandra.heads import head_of
from durable_saga_server.journal.cassandra.tails import TailRow, adopted, is_in_log
from durable_saga_server.journal.memory import Tables

from durable_saga.pb import history_pb2 as h

REPLICAS, QUORUM = 3, 2
_HEAD = (
    "saga_type", "incarnation", "status", "owner", "epoch", "next_seq", "last_commit", "started_ms", "updated_ms", "ended_ms",
    "wake_at_ms", "blocked",
)  # fmt: skip
_SET = ("next_seq", "last_commit", "status", "updated_ms", "ended_ms", "wake_at_ms", "blocked")
Answer = tuple[bool, dict[str, Any]]
Values = Sequence[Any]


class RowKey(NamedTuple):
    run: Run
    incarnation: bytes
    term: int
    seq: int


@dataclass(slots=True)
class Replica:
    """What one node has of logs and fences. A log that was dropped stays so: what comes late is older than that."""

    rows: dict[str, dict[RowKey, TailRow]] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    revoked: dict[str, dict[tuple[Run, bytes, int], int]] = field(default_factory=dict)
    """When each came."""
    dropped_logs: set[str] = field(default_factory=set)
    dropped_fences: set[str] = field(default_factory=set)


class LogTables:
    """`look(run)`: what is committed of it has changed. `now_us()` is the world's time."""

    def __init__(self, tables: Tables, look: Callable[[Run], None], purged: Callable[[Run], None]) -> None:
        self._tables, self._look, self._purged = tables, look, purged
        self.rows: dict[Run, dict[str, Any]] = {}
        self.events: dict[Run, dict[int, bytes]] = {}
        self.replicas = [Replica() for _ in range(REPLICAS)]
        self.known: dict[str, int] = {}
        self._counted: dict[tuple[str, Run, bytes, int], dict[int, TailRow]] = {}
        self._parsed: dict[bytes, h.Event] = {}

    # --- conditional writes ----------------------------------------------------------------------------------------------

    def conditional(self, parts: Sequence[tuple[str, Values]]) -> Answer:
        name, values = parts[0]
        applied, run = getattr(self, f"_{name}")(*values)
        there = self.rows.get(run)
        if not applied:
            return False, dict(there or {})
        for other, more in parts[1:]:
            if other == "event":
                self.events.setdefault(run, {})[more[3]] = more[4]
            elif other == "set_attributes":
                self.rows[run]["attributes"] = {**self.rows[run]["attributes"], **more[0]}
            elif other in ("set_build", "set_paused"):
                self.rows[run][other.removeprefix("set_")] = more[0]
            else:
                assert other == "purge_events", other
        self.refresh(run)
        return True, {}

    def _stands(self, run: Run, *condition: Any, is_open: bool = False) -> dict[str, Any] | None:
        """The row that meets it: incarnation, epoch, next_seq, last_commit, term; None of the last is a term too."""
        row = self.rows.get(run)
        names = ("incarnation", "epoch", "next_seq", "last_commit", "term")
        if row is None or tuple(row[name] for name in names) != condition or (is_open and row["status"] not in OPEN):
            return None
        return row

    def _create_head(self, *values: Any) -> tuple[bool, Run]:
        run = Run(*values[:3])
        if run in self.rows:
            return False, run
        self.rows[run] = {
            **dict(zip(_HEAD, values[3:15], strict=True)), "newest": 0, "attributes": {}, "build": values[15], "paused": None,
            "log": values[16], "term": values[17],
        }  # fmt: skip
        self.events[run] = {}
        return True, run

    def _turn(self, *values: Any) -> tuple[bool, Run]:
        run = Run(*values[10:13])
        row = self._stands(run, *values[13:])
        if row is not None:
            row.update(zip((*_SET, "owner", "log", "term"), values[:10], strict=True))
        return row is not None, run

    def _take(self, *values: Any) -> tuple[bool, Run]:
        run = Run(*values[8:11])
        row = self._stands(run, *values[11:], is_open=True)
        if row is not None:
            names = ("epoch", "owner", "updated_ms", "next_seq", "last_commit", "wake_at_ms", "log", "term")
            row.update(zip(names, values[:8], strict=True))
        return row is not None, run

    def _settle(self, *values: Any) -> tuple[bool, Run]:
        run = Run(*values[5:8])
        row = self._stands(run, *values[8:13])
        if row is None or row["log"] != values[13]:
            return False, run
        row.update(zip(("next_seq", "last_commit", "updated_ms", "wake_at_ms", "term"), values[:5], strict=True), log=None)
        return True, run

    def _acquire(self, epoch: int, owner: str, now_ms: int, *values: Any) -> tuple[bool, Run]:
        run, row = Run(*values[:3]), self.rows.get(Run(*values[:3]))
        if row is None or (row["incarnation"], row["epoch"]) != values[3:] or row["status"] not in OPEN or row["log"]:
            return False, run
        row.update(epoch=epoch, owner=owner, updated_ms=now_ms)
        return True, run

    def _commit(self, *values: Any) -> tuple[bool, Run]:
        run, row = Run(*values[7:10]), self.rows.get(Run(*values[7:10]))
        incarnation, epoch, next_seq, commit_id = values[10:]
        if row is None or (row["incarnation"], row["epoch"], row["next_seq"]) != (incarnation, epoch, next_seq):
            return False, run
        if row["last_commit"] == commit_id or row["log"]:
            return False, run
        row.update(zip(_SET, values[:7], strict=True))
        return True, run

    def _commit_and_release(self, *values: Any) -> tuple[bool, Run]:
        applied, run = self._commit(*values)
        if applied:
            self.rows[run]["owner"] = ""
        return applied, run

    def _advance(self, newest: int, *values: Any) -> tuple[bool, Run]:
        run, row = Run(*values[:3]), self.rows.get(Run(*values[:3]))
        if row is None or row["incarnation"] != values[3] or row["newest"] >= newest:
            return False, run
        row["newest"] = newest
        return True, run

    def _purge_head(self, *values: Any) -> tuple[bool, Run]:
        run, row = Run(*values[:3]), self.rows.get(Run(*values[:3]))
        if row is None or row["incarnation"] != values[3] or row["status"] in OPEN:
            return False, run
        del self.rows[run], self.events[run]
        return True, run

    # --- reads and plain writes of what is in one place ------------------------------------------------------------------

    def head(self, *values: Any) -> list[Any]:
        row = self.rows.get(Run(*values))
        if row is None:
            return []
        return [(*(row[name] for name in _HEAD), *_beside(row))]

    head_seen = head

    def read_events(self, namespace: str, saga: str, run: int, first: int, until: int) -> list[Any]:
        found = self.events.get(Run(namespace, saga, run), {})
        return [(found[seq],) for seq in sorted(found) if first <= seq < until]

    def log_known(self, name: str, used_ms: int) -> list[Any]:
        self.known[name] = used_ms
        return []

    def known_logs(self) -> list[Any]:
        return sorted(self.known.items())

    def log_forget(self, name: str) -> list[Any]:
        self.known.pop(name, None)
        return []

    def consume(self, _: int, namespace: str, saga: str, run: int, message_id: str) -> list[Any]:
        self._tables.inbox.setdefault(Run(namespace, saga, run), {})[message_id] = None
        return []

    def purge_inbox(self, _: int, *values: Any) -> list[Any]:
        self._tables.inbox.pop(Run(*values), None)
        return []

    def key_put(self, run: Run, keys: Iterable[str]) -> list[Any]:
        for key in keys:
            self._tables.keys.setdefault((run.namespace, key), {})[run] = None
        return []

    def key_drop(self, run: Run, key: str) -> list[Any]:
        self._tables.keys.get((run.namespace, key), {}).pop(run, None)
        return []

    # --- what is committed -------------------------------------------------------------------------------------------------

    def has_row(self, log: str, key: RowKey) -> None:
        """A replica has got it: on a quorum, before its term is revoked on one, it counts, whoever comes."""
        run, incarnation, term, seq = key
        having = [one.rows[log][key] for one in self.replicas if key in one.rows.get(log, {})]
        if len(having) >= QUORUM and not self.is_revoked(log, (run, incarnation, term)):
            rows = self._counted.setdefault((log, run, incarnation, term), {})
            if seq not in rows:
                rows[seq] = having[0]
                self.refresh(run)

    def is_revoked(self, log: str, term: tuple[Run, bytes, int]) -> bool:
        known = [one for one in self.replicas if log in one.closed or term in one.revoked.get(log, {})]
        return len(known) >= QUORUM

    def refresh(self, run: Run) -> None:
        row, tables = self.rows.get(run), self._tables
        if row is None:
            tables.heads.pop(run, None)
            tables.events.pop(run, None)
            self._purged(run)
            return
        columns = [row[name] for name in _HEAD]
        head, log, term = _head_of(run, columns, row), row["log"] or "", row["term"]
        events = [data for _, data in sorted(self.events[run].items())]
        if is_in_log(head, log):
            rows = self._counted.get((log, run, self._in_key(head.incarnation), term or 0), {})
            found = adopted(head, log, term, (rows[seq] for seq in sorted(rows) if seq >= head.next_seq))
            head, events = found.head, [*events, *found.tail]
        if tables.heads.get(run) != head:
            tables.heads[run] = head
        tables.events[run] = [self._event(data) for data in events]
        self._look(run)

    def _in_key(self, incarnation: bytes) -> bytes:
        return incarnation

    def _event(self, data: bytes) -> h.Event:
        if data not in self._parsed:
            self._parsed[data] = h.Event.FromString(data)
        return self._parsed[data]


def _beside(row: dict[str, Any]) -> tuple[Any, ...]:
    """What a read of a head gives behind its own columns."""
    return row["newest"], dict(row["attributes"]) or None, row["build"], row["paused"], row["log"], row["term"]


def _head_of(run: Run, columns: Values, row: dict[str, Any]) -> Head:
    return head_of(run, columns, row["attributes"], row["build"], row["paused"], row["newest"])
