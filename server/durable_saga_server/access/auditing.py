"""Writes the audit log: who did what, to what, from where, and what came of it.

What an operator or admin does is written before it is done: if the row can't be written, nothing is done. Its outcome is added
afterwards; a row that stays ASKED is one whose server died meanwhile. What is done often (starts, signals, events, refusals) is
written after it, together with what else waits, every FLUSH_SECONDS.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from durable_saga.pb import access_pb2 as a
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.roles import CHANGING, SENDING
from durable_saga_server.access.roles import namespace_of
from durable_saga_server.clock import Clock, Ids
from durable_saga_server.failures import ServiceError
from durable_saga_server.journal import JournalError
from durable_saga_server.journal.ledger import Entry, Ledger
from durable_saga_server.tending import tend

log = logging.getLogger(__name__)
AUDIT_KEPT_MS = 400 * 86_400_000
FLUSH_SECONDS = 0.2
FLUSHED_AT_ONCE_MAX = 500
WAITING_MAX = 10_000
DETAIL_CHARACTERS_MAX = 1_000
REFUSED_AGAIN_MS = 10_000
"""The same refusal of the same caller is written once in this time."""
REFUSED_KNOWN_MAX = 1_000
DROP_SECONDS = 3_600.0
ASKED = "ASKED"
CLAIMED = "claimed"
"""The kind of identity where nobody is asked who they are."""
RECORDED_UNASKED = tuple(name for name in CHANGING if name not in SENDING)


@dataclass(frozen=True, slots=True)
class By:
    """Who did it, as what kind of identity, and from where."""

    who: str
    kind: str
    origin: str


class Auditor:
    """Call `start()` when the journal is open, and `stop()` before it is closed. Rows are kept for `kept_ms`."""

    def __init__(self, ledger: Ledger, clock: Clock, ids: Ids, *, kept_ms: int = AUDIT_KEPT_MS) -> None:
        self._ledger = ledger
        self._clock = clock
        self._ids = ids
        self._kept_ms = kept_ms
        self._waiting: list[Entry] = []
        self._lost = 0
        self._count = 0
        self._refused: dict[tuple[str, str, str], int] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [tend("audit", self._tend, self._clock), tend("audit-end", self._drop, self._clock)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._flush()
        if self._waiting:
            log.error("%s rows of the audit log could not be written", len(self._waiting))

    async def call(self, name: str, method: Callable[[Any], Awaitable[Any]], request: Any, by: By) -> Any:
        """The call, recorded if it is one that changes something. Raises what it raises, and ServiceError when it can't be
        recorded before it is made: nothing was done then."""
        if name not in CHANGING:
            return await method(request)
        entry = self.entry(name, request, by, ASKED)
        if name not in SENDING:
            await self._write_before(entry)
        try:
            reply = await method(request)
        except ServiceError as error:
            self._ended(entry, error.code, error.message)
            raise
        except BaseException as error:
            self._ended(entry, "CANCELLED" if isinstance(error, asyncio.CancelledError) else "UNKNOWN", repr(error))
            raise
        self._ended(entry, "OK", f"token {reply.made.id}" if name == "Grant" else "")
        return reply

    def refused(self, name: str, namespace: str, by: By, reason: str) -> None:
        """For want of a role."""
        key, now_ms = (by.who, name, namespace), self._clock.now_ms()
        if self._refused.get(key, 0) > now_ms:
            return
        if len(self._refused) >= REFUSED_KNOWN_MAX:
            del self._refused[next(iter(self._refused))]
        self._refused[key] = now_ms + REFUSED_AGAIN_MS
        self.note(self._made(name, namespace, "", reason, by, "PERMISSION_DENIED"))

    def done(self, name: str, namespace: str, subject: str, detail: str, by: By) -> None:
        """What is no call that changes a saga: a worker has greeted, somebody has logged in."""
        self.note(self._made(name, namespace, subject, detail, by, "OK"))

    def entry(self, name: str, request: Any, by: By, outcome: str) -> Entry:
        return self._made(name, namespace_of(request), _subject(request), _detail(name, request), by, outcome)

    def note(self, entry: Entry) -> None:
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append(entry)
            return
        self._lost += 1
        if self._lost == 1 or self._lost % WAITING_MAX == 0:
            log.error("the audit log can't be written: %s rows are lost (WAITING_MAX)", self._lost)

    def _made(self, name: str, namespace: str, subject: str, detail: str, by: By, outcome: str) -> Entry:
        now_ms = self._clock.now_ms()
        row = a.AuditEntry(
            at_ms=now_ms, who=by.who, verb=name, namespace=namespace, saga=subject, detail=detail[:DETAIL_CHARACTERS_MAX],
            origin=by.origin, outcome=outcome, kind=by.kind,
        )  # fmt: skip
        self._count += 1  # within a millisecond they stay in order
        entry_id = self._count.to_bytes(8, "big") + self._ids.new()[:8]
        return Entry(now_ms, entry_id, namespace, by.who, name, subject, row.SerializeToString(), now_ms + self._kept_ms)

    def _ended(self, entry: Entry, outcome: str, words: str) -> None:
        row = a.AuditEntry.FromString(entry.entry)
        row.outcome = outcome
        row.detail = "; ".join(filter(None, (row.detail, words)))[:DETAIL_CHARACTERS_MAX]
        self.note(replace(entry, entry=row.SerializeToString()))

    async def _write_before(self, entry: Entry) -> None:
        try:
            await self._ledger.append([entry])
        except JournalError as error:
            words = f"the call can't be written to the audit log, so nothing was done: {error}"
            raise ServiceError("UNAVAILABLE", words, retry_after_ms=1_000) from error

    async def _tend(self) -> None:
        while True:
            await self._clock.sleep(FLUSH_SECONDS)
            await self._flush()

    async def _flush(self) -> None:
        while self._waiting:
            batch = self._waiting[:FLUSHED_AT_ONCE_MAX]
            try:
                await self._ledger.append(batch)
            except JournalError as error:
                log.warning("the audit log can't be written, %s rows wait: %s", len(self._waiting), error)
                return
            del self._waiting[: len(batch)]

    async def _drop(self) -> None:
        while True:
            try:
                while await self._ledger.drop_entries(self._clock.now_ms()):
                    await self._clock.sleep(FLUSH_SECONDS)
            except JournalError as error:
                log.warning("old rows of the audit log could not be deleted and stay for now: %s", error)
            await self._clock.sleep(DROP_SECONDS)


def _subject(request: Any) -> str:
    fields = request.DESCRIPTOR.fields_by_name
    if "key" in fields:
        return str(request.key.saga)
    return str(next((getattr(request, name) for name in ("saga", "id", "name") if name in fields), ""))


def _detail(name: str, request: Any) -> str:
    """What was asked for, without the values of sagas."""
    if name == "Start":
        return str(request.saga_type)
    if name == "Signal":
        return str(request.name)
    if name == "Publish":
        return f"{request.event}{f' to key {request.correlation_key}' if request.correlation_key else ''}"
    if name == "Decide":
        decision = request.decision
        known = decision.verb in h.CompensationDecided.Verb.values()
        verb = h.CompensationDecided.Verb.Name(decision.verb) if known else str(decision.verb)
        return f"{verb} {decision.call}: {decision.note}"
    if name == "Grant":
        return f"{', '.join(request.rights.roles)} in {', '.join(request.rights.namespaces)}"
    if name == "RollOut":
        asked = f"{request.share_millionths / 10_000:g}% {request.build}" if request.build else "no roll-out"
        return f"{asked} of {request.saga_type or 'all types'}: {request.reason}"
    return str(getattr(request, "reason", ""))
