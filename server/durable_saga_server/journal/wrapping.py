"""A journal around another one: something is done with each call of its facets. For tests, simulation and faults."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from durable_saga_server.journal import Chunks, Claims, Hints, Inbox, Index, Journal, Ledger, Members, Runs, Switches

Call = Callable[..., Awaitable[Any]]


class WrappedJournal:
    """Who derives from it says in `around` what is done. A call that never waits (`index.list_again`) goes straight through."""

    def __init__(self, journal: Journal) -> None:
        self.batches_at_once = journal.batches_at_once
        self._journal = journal
        self.runs: Runs = self._wrapped("runs")
        self.inbox: Inbox = self._wrapped("inbox")
        self.hints: Hints = self._wrapped("hints")
        self.chunks: Chunks = self._wrapped("chunks")
        self.members: Members = self._wrapped("members")
        self.index: Index = self._wrapped("index")
        self.claims: Claims = self._wrapped("claims")
        self.switches: Switches = self._wrapped("switches")
        self.ledger: Ledger = self._wrapped("ledger")

    def _wrapped(self, name: str) -> Any:
        return _Facet(name, getattr(self._journal, name), self)

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        """`name` is "runs.create", …; `call(*args)` is what was asked for."""
        return await call(*args)

    async def initialize(self) -> None:
        await self._journal.initialize()

    async def close(self) -> None:
        await self._journal.close()


class _Facet:
    def __init__(self, name: str, facet: Any, journal: WrappedJournal) -> None:
        self._name = name
        self._facet = facet
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._facet, name)
        if not inspect.iscoroutinefunction(call):
            return call

        async def wrapped(*args: Any, **options: Any) -> Any:
            bound = partial(call, **options) if options else call
            return await self._journal.around(f"{self._name}.{name}", bound, *args)

        return wrapped
