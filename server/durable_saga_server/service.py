"""The history service: what clients ask for, without a transport. gRPC and the embedded engine call this very object."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from durable_saga.pb import cell_pb2
from durable_saga.pb import worker_pb2 as w
from durable_saga_server.access.caller import Caller
from durable_saga_server.access.calls import AccessCalls
from durable_saga_server.calls.cell_watches import CellWatches
from durable_saga_server.calls.gates import gated
from durable_saga_server.calls.streams import CallStreams
from durable_saga_server.cell import Cell
from durable_saga_server.clock import Clock, Ids, RandomIds, SystemClock
from durable_saga_server.config import AROUND_BYTES, Config
from durable_saga_server.failures import Admission
from durable_saga_server.journal import Journal
from durable_saga_server.large import LargePayloads
from durable_saga_server.means import Means
from durable_saga_server.runs.builds import Builds
from durable_saga_server.runs.chains import Chains
from durable_saga_server.runs.delivery import Delivery
from durable_saga_server.runs.endings import Endings
from durable_saga_server.runs.finding import Finding
from durable_saga_server.runs.heads import Heads
from durable_saga_server.runs.messages import Messages
from durable_saga_server.runs.not_begun import NotBegun
from durable_saga_server.runs.pausing import Pausing
from durable_saga_server.runs.querying import Querying
from durable_saga_server.runs.reading import Reading
from durable_saga_server.runs.restarting import Restarting
from durable_saga_server.runs.starting import Starting
from durable_saga_server.runs.terminating import Terminating
from durable_saga_server.runs.waiters import Waiters
from durable_saga_server.waking.wake import Waker
from durable_saga_server.workers.committer import Committer
from durable_saga_server.workers.dispatch import Dispatcher
from durable_saga_server.workers.hooks import Hooks
from durable_saga_server.workers.paused_types import PausedTypes
from durable_saga_server.workers.roll_outs import RollOuts
from durable_saga_server.workers.sessions import Sessions
from durable_saga_server.workers.showing import Showing
from durable_saga_server.workers.switches import Switches
from durable_saga_server.workers.work import WorkStreams


class HistoryService:
    """Call `start_up()` first and `shut_down()` last. `calls` holds the calls of proto/durable_saga/v1/client.proto by name;
    each raises ServiceError with a gRPC status name and a message for the caller.

    It puts the parts together and decides nothing itself. No part knows it: each is given what it needs."""

    def __init__(
        self, journal: Journal, *, clock: Clock | None = None, ids: Ids | None = None, config: Config | None = None,
        name: str = "server", member: str = "",
    ) -> None:  # fmt: skip
        """`member`: what it is called in the cell, for itself alone; new_name() lets others know when its process is gone."""
        self.journal = journal
        self.clock = clock or SystemClock()
        self.ids = ids or RandomIds()
        self.config = config or Config()
        self.before_close: list[Callable[[], Awaitable[None]]] = []
        """What needs the journal until the end."""
        means = self._means = Means(journal, self.clock, self.ids, self.config)
        self.switches = Switches(journal, self.clock, self.config)
        self.sessions = Sessions(PausedTypes(self.switches), RollOuts(self.switches))
        self.cell = Cell(journal, self.clock, self.config, member or f"{name}/{self.ids.new().hex()[:8]}")
        self.committer = Committer(journal, self.clock, self.config)
        self.dispatcher = Dispatcher(journal, self.clock, self.config, self.sessions, self.cell)
        self.waker = Waker(journal, self.clock, self.config, self.cell, self.dispatcher)
        large, waiters = LargePayloads(journal, self.clock, self.config), Waiters(self.clock, self.config)
        not_begun = NotBegun(means, self.dispatcher, self.committer, waiters.notify)
        self.waker.stop_not_begun = not_begun.stop
        delivery = Delivery(means, self.cell, self.dispatcher, self.waker, not_begun)
        chains = Chains(means, large, self.waker, delivery, waiters.notify, waiters.begun)
        heads = Heads(journal, self.clock, self.config, chains)
        endings = Endings(means, chains, self.waker.hint)
        self.waker.over.ended, self.waker.over.keep = endings.look, endings.keep
        hooks = Hooks(self.waker.hint, chains.follow, self.waker.over.note, waiters.notify)
        self.streams = WorkStreams(means, name, self.cell, self.dispatcher, self.committer, large, hooks)
        self.cell.on_change(self.streams.cell_changed)
        self.sessions.paused.on_change(self.sessions.tell_pauses)
        self.switches.on_change(self.dispatcher.look_again)
        self._cell_watches = CellWatches(self.cell)
        self.reading = Reading(means, self.sessions, heads, waiters)
        self._showing = Showing(means, name, self.cell, self.dispatcher)
        self._finding = Finding(means, self.sessions.paused, heads, self.reading.view, self._showing.lacking)
        messages = Messages(means, large, chains, heads, delivery, self.reading.describe, self.sessions.paused)
        starting = Starting(means, self.cell, self.dispatcher, large, self.waker, chains)
        terminating = Terminating(
            means, heads, self.dispatcher, self.committer,
            hint=self.waker.hint, revoke=self.streams.revoke, notify=waiters.notify,
        )  # fmt: skip
        restarting = Restarting(means, chains, heads, self.sessions.paused)
        pausing, querying = Pausing(means, self.sessions.paused), Querying(means, heads, self.streams.queries)
        self.calls = self._gated(starting, messages, terminating, restarting, pausing, large, querying)
        self.call_streams = CallStreams(self.calls, self.config.message_bytes_max - AROUND_BYTES)

    def _gated(
        self, starting: Starting, messages: Messages, terminating: Terminating, restarting: Restarting, pausing: Pausing,
        large: LargePayloads, querying: Querying,
    ) -> Mapping[str, Callable[[Any], Awaitable[Any]]]:  # fmt: skip
        """By name. Only so many of those that write are let in at once."""
        reading, builds = self.reading, Builds(self._means, self.sessions)
        admitted = Admission(self.config.calls_at_once_max).admitted
        writing: dict[str, Callable[[Any], Awaitable[Any]]] = {
            "Start": starting.start, "Signal": messages.signal, "Cancel": messages.cancel, "Compensate": messages.compensate,
            "Recover": messages.recover, "Decide": messages.decide, "Publish": messages.publish, "Pause": messages.pause,
            "Resume": messages.resume, "RetryNow": messages.retry_now, "PauseType": pausing.pause_type,
            "ResumeType": pausing.resume_type,
            "Terminate": terminating.terminate, "Restart": restarting.restart, "RollOut": builds.roll_out,
        }  # fmt: skip
        others: dict[str, Callable[[Any], Awaitable[Any]]] = {
            "Beat": self.beat, "Fetch": large.fetch, "Describe": reading.describe, "History": reading.history,
            "Wait": reading.wait, "List": self._finding.list, "Statistics": self._finding.statistics,
            "Changes": reading.changes, "Workers": self._showing.workers, "Query": querying.query,
            "Claim": reading.claim, "Builds": builds.builds, **AccessCalls(self.journal.ledger, self.clock).calls,
        }  # fmt: skip
        calls = {**{name: admitted(call) for name, call in writing.items()}, **others}
        return {name: gated(call) for name, call in calls.items()}

    async def start_up(self) -> None:
        """Make the tables, read the hints, begin to hand out. Raises JournalError."""
        await self.journal.initialize()
        await self.switches.start()
        self.committer.start()
        self.dispatcher.start()
        await self.cell.start()
        await self.waker.start()

    async def shut_down(self) -> None:
        """Finish what is being written, then close the journal. Workers keep their runs and go to another server."""
        self._cell_watches.close()
        await asyncio.gather(self.call_streams.close(), self.streams.close())
        await self.cell.stop()
        await self.waker.stop()
        await self.dispatcher.stop()
        await self.switches.stop()
        await self.committer.stop()
        for close in self.before_close:
            await close()
        await self.journal.close()

    async def join(self, address: str) -> None:
        """Become a server of the cell, at host:port."""
        await self.cell.join(address=address)

    async def drain(self) -> None:
        """Leave the cell, and wait until the workers have moved their runs to other servers, if there are any."""
        await self.cell.leave()
        until_ms = self.clock.now_ms() + self.config.drain_ms
        while self.cell.has_others and any(one.owned for one in self.sessions) and self.clock.now_ms() < until_ms:
            await self.clock.sleep(0.05)

    def watch_cell(self, caller: Caller | None = None) -> AsyncIterator[cell_pb2.Cell]:
        """As CellWatches.watch()."""
        return self._cell_watches.watch(caller)

    def work(
        self,
        incoming: AsyncIterator[w.WorkerFrame],
        break_off: Callable[[], object] | None = None,
        caller: Caller | None = None,
    ) -> AsyncIterator[w.ServerFrame]:
        """As WorkStreams.serve()."""
        return self.streams.serve(incoming, break_off, caller)

    async def beat(self, request: w.BeatRequest) -> w.BeatReply:
        return self.streams.beat(request)
