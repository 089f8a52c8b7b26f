"""Watches sagas: tells a service of those that fail, get stuck or take too long, each occurrence once per group of monitors.

Reads changes and listings, which are eventually consistent, and claims each occurrence in the journal before it tells: after a
restart, and with several monitors, nothing is told twice. A handler that fails is called again when its claim has run out. What
another monitor of the group claims is claimed once more after that time: that monitor may have died before it told anybody.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, TypeVar

from durable_saga.client import raw
from durable_saga.client.client import Client
from durable_saga.client.listing import rows
from durable_saga.client.overview import Overview, Statistics, overview_of
from durable_saga.clock import Clock, SystemClock
from durable_saga.definition.retry import to_ms
from durable_saga.errors import ClientError, NotFound
from durable_saga.manager.failing_compensations import FailingCompensations
from durable_saga.manager.orchestrator import SagaManager
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.worker.failing import FAILING_COMPENSATION_SECONDS_MAX

log = logging.getLogger(__name__)
CLAIM_MS = 60_000
CLAIM_OVER_MS = 500
"""After its end by the server's clock, a claim is asked for again."""
CHANGES_PER_READ = 500
OVERLAP_MS = 5_000
"""Changes come late by this much, at most."""
LISTED_LATE_MS = 3_600_000
"""The row of a saga that has just begun is written when its server finds it again, if the one that began it has died."""
KNOWN_MAX = 50_000
"""So many occurrences that were told are remembered; others are asked about once more, which costs a claim."""
F = TypeVar("F", bound=Callable[..., Any])
_FAILED = (h.FAILED, h.COMPENSATED, h.HELD)
_EVENTS = ("saga_timeout", "saga_failed", "saga_stuck", "saga_blocked", "failure_threshold", "compensation_failing")


@dataclass(frozen=True, slots=True)
class _Occurrence:
    event: str
    item: str
    arguments: tuple[Any, ...]


@dataclass(slots=True)
class _Again:
    """To be claimed again when a claim of it, ours or another's, has run out. Refused twice: somebody has told it."""

    occurrence: _Occurrence
    due_ms: int
    refused: int


class SagaMonitor:
    """Calls handlers for sagas that fail, get stuck or take too long, as long as its `async with` block lasts; `check()`
    looks once. Times are seconds or timedeltas.

    - `check_interval`: the time between two looks.
    - `timeout_threshold`: how long a saga may be open before `saga_timeout(saga_id)`.
    - `failure_threshold`, `failure_window`: this many failures of one type within this time lead to
      `failure_threshold(saga_type, count)`.
    - `compensation_threshold`: a compensation that was tried for this long without success leads to
      `compensation_failing(saga_id, compensation, error)`.
    - `group`: each occurrence is reported once for each group. `lookback`: how far back a new group looks.

    `saga_failed(saga_id, error)` is called for failed, compensated and held sagas, `saga_stuck(saga_id, error)` for those
    whose compensation needs an operator, `saga_blocked(saga_id, reason)` for those that no connected worker can continue."""

    def __init__(
        self, manager: SagaManager | Client, *, check_interval: float | timedelta = 30,
        timeout_threshold: float | timedelta = 300, failure_threshold: int = 5, failure_window: float | timedelta = 300,
        compensation_threshold: float | timedelta = FAILING_COMPENSATION_SECONDS_MAX, group: str = "default",
        lookback: float | timedelta = 86_400, clock: Clock | None = None,
    ) -> None:  # fmt: skip
        self._client = manager.client if isinstance(manager, SagaManager) else manager
        self._interval_ms = to_ms(check_interval, name="check_interval")
        self._timeout_ms = to_ms(timeout_threshold, name="timeout_threshold")
        self._failures = failure_threshold
        self._window_ms = max(to_ms(failure_window, name="failure_window"), 1)
        self._failing_ms = to_ms(compensation_threshold, name="compensation_threshold")
        self._failing = FailingCompensations(self._client)
        self._group = group
        self._clock = clock or SystemClock()
        since_ms = self._clock.now_ms() - to_ms(lookback, name="lookback")
        self._changes_after_ms = since_ms
        self._started_after_ms = since_ms
        self._handlers: dict[str, list[Callable[..., Any]]] = {}
        self._recent: dict[str, tuple[str, int]] = {}
        self._again: dict[str, _Again] = {}
        self._known: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None

    def on(self, event: str) -> Callable[[F], F]:
        """Declare a handler, async or plain. Raises ValueError for an unknown event."""
        if event not in _EVENTS:
            raise ValueError(f"there is no event {event!r}: use one of {', '.join(_EVENTS)}")

        def declare(handler: F) -> F:
            self._handlers.setdefault(event, []).append(handler)
            return handler

        return declare

    async def statistics(self) -> Statistics:
        """Counts by status and type. Eventually consistent, from rows that the journal maintains."""
        return await self._client.statistics()

    async def get_saga(self, saga_id: str) -> Overview:
        """As SagaManager.get_saga()."""
        return await self._client.handle(saga_id).overview()

    async def __aenter__(self) -> SagaMonitor:
        self._task = asyncio.create_task(self._watch(), name="saga-monitor")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            try:
                await self.check()
            except ClientError as error:
                log.warning("the monitor could not read new events, and tries again: %s", error)
            await asyncio.sleep(self._interval_ms / 1000)

    async def check(self) -> int:
        """Look once. Returns how many occurrences were reported here. Raises Unavailable."""
        told, now_ms = 0, self._clock.now_ms()
        for again in [one for one in self._again.values() if one.due_ms <= now_ms]:
            told += await self._tell(again.occurrence, again.refused)
        async for occurrence in self._new():
            if occurrence.item not in self._known and occurrence.item not in self._again:
                told += await self._tell(occurrence)
        return told

    async def _new(self) -> AsyncIterator[_Occurrence]:
        now_ms = self._clock.now_ms()
        async for one in self._changed(now_ms):
            if one.status in _FAILED:
                self._recent[_place(one)] = (one.saga_type, one.updated_ms)
                yield await self._occurrence("saga_failed", one)
            elif one.status == h.COMPENSATION_STUCK:
                yield await self._occurrence("saga_stuck", one)
            if one.blocked:
                yield _Occurrence("saga_blocked", f"saga_blocked/{_place(one)}", (one.key.saga, one.blocked))
        for occurrence in self._too_many(now_ms):
            yield occurrence
        if "compensation_failing" in self._handlers:
            async for failing in self._failing.since(now_ms - self._failing_ms):
                item = f"compensation_failing/{failing.saga}/{failing.run}/{failing.call}/{failing.since_ms}"
                yield _Occurrence("compensation_failing", item, (failing.saga, failing.compensation, failing.error))
        until_ms = now_ms - self._timeout_ms
        open_statuses = ["RUNNING", "COMPENSATING", "COMPENSATION_STUCK", "HELD"]
        until = datetime.fromtimestamp((until_ms + 1) / 1000, UTC)
        async for one in rows(self._client, status=open_statuses, started_before=until):
            if one.started_ms <= self._started_after_ms:
                break
            yield _Occurrence("saga_timeout", f"saga_timeout/{one.key.saga}/{one.key.run}/{one.started_ms}", (one.key.saga,))
        self._started_after_ms = max(self._started_after_ms, until_ms - LISTED_LATE_MS)

    async def _changed(self, now_ms: int) -> AsyncIterator[c.Description]:
        after_ms = self._changes_after_ms
        while True:
            request = c.ChangesRequest(namespace=self._client.namespace, after_ms=after_ms, limit=CHANGES_PER_READ)
            found = (await self._client.transport.call("changes", request)).sagas
            for one in found:
                yield one
            if len(found) < CHANGES_PER_READ:
                break
            after_ms = found[-1].updated_ms
        self._changes_after_ms = max(self._changes_after_ms, now_ms - OVERLAP_MS)

    def _too_many(self, now_ms: int) -> list[_Occurrence]:
        window = now_ms // self._window_ms
        self._recent = {key: one for key, one in self._recent.items() if one[1] > now_ms - self._window_ms}
        counted = Counter(saga_type for saga_type, _ in self._recent.values())
        return [
            _Occurrence("failure_threshold", f"failure_threshold/{saga_type}/{window}", (saga_type, count))
            for saga_type, count in counted.items()
            if count >= self._failures
        ]

    async def _occurrence(self, event: str, one: c.Description) -> _Occurrence:
        item = f"{event}/{_place(one)}"
        if event not in self._handlers or item in self._known:
            return _Occurrence(event, item, ())
        try:
            error = overview_of(await raw.describe_key(self._client, one.key)).error
        except NotFound:  # purged since
            error = None
        return _Occurrence(event, item, (one.key.saga, error or ""))

    async def _tell(self, occurrence: _Occurrence, refused: int = 0) -> int:
        """Claim, tell, confirm. A handler that fails leaves the claim to run out."""
        handlers = self._handlers.get(occurrence.event, ())
        if not handlers:
            return 0
        claim = c.ClaimRequest(
            namespace=self._client.namespace, group=self._group, item=occurrence.item, lease_ms=CLAIM_MS
        )  # fmt: skip
        claimed = (await self._client.transport.call("claim", claim)).claimed
        again_ms = self._clock.now_ms() + CLAIM_MS + CLAIM_OVER_MS
        if not claimed:
            if refused:
                self._remember(occurrence)
            else:
                self._again[occurrence.item] = _Again(occurrence, again_ms, 1)
            return 0
        self._again[occurrence.item] = _Again(occurrence, again_ms, 0)
        for handler in handlers:
            try:
                outcome = handler(*occurrence.arguments)
                if inspect.isawaitable(outcome):
                    await outcome
            except Exception:
                log.exception("a handler of %s failed and is called again in %s s", occurrence.event, CLAIM_MS // 1000)
                return 0
        claim.confirm = True
        await self._client.transport.call("claim", claim)
        self._remember(occurrence)
        return 1

    def _remember(self, occurrence: _Occurrence) -> None:
        self._again.pop(occurrence.item, None)
        self._known[occurrence.item] = None
        while len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]


def _place(one: c.Description) -> str:
    """Of what happened to the run: a saga that was purged and began again has other places."""
    return f"{one.key.saga}/{one.key.run}/{one.started_ms}/{one.next_seq}"
