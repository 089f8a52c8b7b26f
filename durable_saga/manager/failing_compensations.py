"""Finds compensations that have failed for a long time and are still tried: nobody is asked to decide, and nothing gets better.

Sagas that unwind are looked at each time. One that undoes a part of itself while it goes on has no status that tells, so
running ones are looked at in turns, some at each time. What is read is eventually consistent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from durable_saga.client import raw
from durable_saga.client.client import Client
from durable_saga.client.listing import page_of_rows, rows
from durable_saga.pb import client_pb2 as c

UNWINDING_PER_CHECK = 1_000
RUNNING_PER_CHECK = 200
_DECIDED = ("done", "skipped", "resolved", "stuck")


@dataclass(frozen=True, slots=True)
class Failing:
    saga: str
    run: int
    call: str
    compensation: str
    error: str
    since_ms: int
    """When the first of its attempts failed, Unix milliseconds."""


class FailingCompensations:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._page = ""

    async def since(self, until_ms: int) -> AsyncIterator[Failing]:
        """Those whose first attempt failed at `until_ms` or before. Raises Unavailable."""
        started_before = datetime.fromtimestamp((until_ms + 1) / 1000, UTC)
        unwinding = rows(self._client, status=["COMPENSATING"], started_before=started_before, limit=UNWINDING_PER_CHECK)
        async for one in unwinding:
            async for failing in self._of(one, until_ms):
                yield failing
        found = await page_of_rows(
            self._client, status=["RUNNING"], started_before=started_before, limit=RUNNING_PER_CHECK, page=self._page
        )
        for one in found.sagas:
            async for failing in self._of(one, until_ms):
                yield failing
        self._page = found.next_page

    async def _of(self, one: c.Description, until_ms: int) -> AsyncIterator[Failing]:
        described = await raw.describe_key(self._client, one.key)
        for step in described.steps:
            if 0 < step.compensation_failing_ms <= until_ms and step.compensation_state not in _DECIDED:
                yield Failing(
                    one.key.saga, described.key.run, step.call, step.compensation, step.compensation_error,
                    step.compensation_failing_ms,
                )  # fmt: skip
