"""Pages of a listing in SQLite. The most telling condition of a filter gives the rows, by an index that has them in the order
of the listing; the others are looked at row by row, EXAMINED_ROWS_MAX of them for one page. So a page takes some ten
milliseconds whatever is in the journal, and may be short. Several statuses are read one by one, and put together here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from durable_saga_server.history.appending import CLOSED, OPEN
from durable_saga_server.journal import Filter, Head, Listed
from durable_saga_server.journal.rules import page_token, page_token_before, read_page_token
from durable_saga_server.journal.sqlite_rows import HEAD_COLUMNS, IS_OPEN, head_of

EXAMINED_ROWS_MAX = 5_000
"""Of one index, for one page."""
SMALL_ROWS_MAX = 1_000
"""So few with a prefix, or an end in a range of time, are read as a whole and put in order."""
_ORDER = "ORDER BY started_ms DESC, saga, run"
_HAS_ATTRIBUTE = (
    "EXISTS (SELECT 1 FROM search_attributes AS one WHERE one.namespace = heads.namespace AND one.name = ? AND one.value = ?"
    " AND one.started_ms = heads.started_ms AND one.saga = heads.saga AND one.run = heads.run)"
)
_LAST_CHARACTER = "\U0010ffff"


@dataclass
class _Where:
    """Conditions that all hold, and their values."""

    texts: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def add(self, text: str, *values: object) -> None:
        self.texts.append(text)
        self.values += values

    def and_(self, other: _Where) -> _Where:
        return _Where([*self.texts, *other.texts], [*self.values, *other.values])

    def __str__(self) -> str:
        return " AND ".join(self.texts) or "1"


def read_page(db: sqlite3.Connection, wanted: Filter, limit: int, page: str) -> Listed:
    """Raises ValueError for a page token of somebody else's."""
    place = _place(wanted, page)
    heads: list[Head] = []
    floor_ms = 0
    for source, driving, answered in _drives(db, wanted):
        rest, within = _rest(wanted, answered), driving.and_(place)
        if rest.texts and " heads INDEXED BY " in source:
            floor_ms = max(floor_ms, _floor_ms(db, source, within))
            within.add("started_ms >= ?", floor_ms)
        where = within.and_(rest)
        select = f"SELECT {HEAD_COLUMNS} FROM{source} WHERE {where} {_ORDER} LIMIT ?"
        heads += [head_of(row) for row in db.execute(select, (*where.values, limit + 1))]
    heads = sorted(
        (one for one in heads if one.started_ms >= floor_ms), key=lambda one: (-one.started_ms, one.run.saga, one.run.run)
    )
    if len(heads) > limit:
        return Listed(heads[:limit], page_token(heads[limit - 1]))
    return Listed(heads, page_token_before(floor_ms) if floor_ms else "")


def _floor_ms(db: sqlite3.Connection, source: str, within: _Where) -> int:
    """From when on rows are looked at; 0: all of them."""
    select = f"SELECT started_ms FROM{source} WHERE {within} {_ORDER} LIMIT 1 OFFSET {EXAMINED_ROWS_MAX}"
    row = db.execute(select, within.values).fetchone()
    return 0 if row is None else int(row[0])


def _place(wanted: Filter, page: str) -> _Where:
    """What every index of the listing has in its order."""
    where = _Where()
    if wanted.started_after_ms:
        where.add("started_ms >= ?", wanted.started_after_ms)
    if before_ms := min(filter(None, (wanted.started_before_ms, wanted.ended_before_ms)), default=0):
        where.add("started_ms < ?", before_ms)
    if page:
        started_ms, saga, run = read_page_token(page)
        is_behind = "started_ms <= ? AND (started_ms < ? OR saga > ? OR (saga = ? AND run > ?))"
        where.add(is_behind, started_ms, started_ms, saga, saga, run)
    return where


def _rest(wanted: Filter, answered: frozenset[str]) -> _Where:
    """All but the place, and but for what the index has answered."""
    where = _Where()
    if wanted.saga_type and "saga_type" not in answered:
        where.add("saga_type = ?", wanted.saga_type)
    if wanted.statuses and "statuses" not in answered:
        where.add(f"status IN ({_numbers(wanted.statuses)})")
    if wanted.build and "build" not in answered:
        where.add("build = ?", wanted.build)
    if wanted.blocked and "blocked" not in answered:
        where.add("blocked <> ''")
    if wanted.paused and "paused" not in answered:
        where.add("paused <> ''")
    if wanted.sub_states and "sub_states" not in answered:
        where.add(f"sub_state IN ({_numbers(wanted.sub_states)}) AND {IS_OPEN}")
    if wanted.failure_type and "failure_type" not in answered:
        where.add("failure_type = ?", wanted.failure_type)
    if wanted.ended_after_ms or wanted.ended_before_ms:
        where.add("ended_ms >= ? AND ended_ms < ?", *_ended(wanted))
    if wanted.id_prefix:
        where.add("saga >= ? AND saga < ?", *_of_prefix(wanted))
    for name, text in wanted.attributes[1:]:
        where.add(_HAS_ATTRIBUTE, name, text)
    return where


def _drives(db: sqlite3.Connection, wanted: Filter) -> Iterator[tuple[str, _Where, frozenset[str]]]:
    """Where the rows come from: indexes, or one set that is small; and the fields of the filter that they answer."""
    namespace = _Where(["namespace = ?"], [wanted.namespace])
    if wanted.attributes:  # the first of them gives the rows, in their order; a row without its head gives none
        named = "(SELECT namespace, started_ms, saga, run FROM search_attributes WHERE name = ? AND value = ?)"
        found = _Where(["namespace = ?"], [*wanted.attributes[0], wanted.namespace])
        yield f" {named} CROSS JOIN heads USING (namespace, started_ms, saga, run)", found, frozenset()
        return
    if (small := _small(db, wanted, namespace)) is not None:
        yield *small, frozenset()
        return
    for index, driving, *answered in _indexes(wanted):
        yield f" heads INDEXED BY {index}", namespace.and_(driving), frozenset(answered)


def _small(db: sqlite3.Connection, wanted: Filter, namespace: _Where) -> tuple[str, _Where] | None:
    """The index gives them in another order, so all are read."""
    ways = []
    if wanted.id_prefix:
        ways.append(("sqlite_autoindex_heads_1", _Where(["saga >= ? AND saga < ?"], [*_of_prefix(wanted)])))
    if wanted.ended_after_ms or wanted.ended_before_ms:
        among = ["ended_ms <> 0 AND ended_ms >= ? AND ended_ms < ?"]
        ways.append(("heads_by_end", _Where(among, [*_ended(wanted)])))
    for index, driving in ways:
        where = namespace.and_(driving)
        count = f"SELECT count(*) FROM (SELECT 1 FROM heads INDEXED BY {index} WHERE {where} LIMIT {SMALL_ROWS_MAX + 1})"
        if db.execute(count, where.values).fetchone()[0] <= SMALL_ROWS_MAX:
            return f" (SELECT * FROM heads INDEXED BY {index} WHERE {where} LIMIT {SMALL_ROWS_MAX + 1}) AS heads", _Where(
                [], where.values
            )
    return None


def _indexes(wanted: Filter) -> Iterator[tuple[Any, ...]]:
    """Each with its condition and the fields that it answers."""
    if wanted.sub_states and 0 not in wanted.sub_states:
        for state in sorted(wanted.sub_states):
            yield "heads_by_state", _Where([f"sub_state = ? AND sub_state <> 0 AND {IS_OPEN}"], [int(state)]), "sub_states"
    elif wanted.failure_type:
        yield "heads_by_failure", _Where(["failure_type = ? AND failure_type <> ''"], [wanted.failure_type]), "failure_type"
    elif wanted.blocked:
        yield "heads_blocked", _Where(["blocked <> ''"]), "blocked"
    elif wanted.paused:
        yield "heads_paused", _Where(["paused <> ''"]), "paused"
    elif wanted.build and wanted.statuses and wanted.statuses <= OPEN:
        yield "heads_of_build", _Where([f"build = ? AND build <> '' AND {IS_OPEN}"], [wanted.build]), "build"
    elif wanted.saga_type:
        for status in sorted(wanted.statuses or (OPEN if wanted.sub_states else OPEN | CLOSED)):
            yield (
                "heads_by_type",
                _Where(["saga_type = ? AND status = ?"], [wanted.saga_type, int(status)]),
                "saga_type",
                "statuses",
            )
    elif wanted.statuses or wanted.sub_states:
        for status in sorted(wanted.statuses or OPEN):
            yield "heads_by_status", _Where(["status = ?"], [int(status)]), "statuses"
    else:
        yield "heads_by_start", _Where()


def _numbers(of: frozenset[int]) -> str:
    return ",".join(str(int(one)) for one in sorted(of))


def _ended(wanted: Filter) -> tuple[int, int]:
    return max(wanted.ended_after_ms, 1), wanted.ended_before_ms or 2**62


def _of_prefix(wanted: Filter) -> tuple[str, str]:
    return wanted.id_prefix, wanted.id_prefix + _LAST_CHARACTER
