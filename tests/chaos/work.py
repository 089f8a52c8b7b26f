"""The work under the storm: orders and collectors of signals, started, signalled and waited for as a user does it, and what
must hold of it in the end."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

from durable_saga import Client, Handle, SagaFunction
from durable_saga.client import raw
from durable_saga.errors import ClientError, SagaError, Unavailable
from durable_saga.pb import history_pb2 as h
from examples.demo.ledger import generate, judge
from examples.demo.orders import Order, place_order
from tests.chaos.cell import ChaosCell
from tests.chaos.histories import in_short, was_cut_off
from tests.chaos.sagas import SIGNALS, collect

AGAIN_SECONDS = 0.5
ORDERS_MAX = 100_000


class Work:
    """`run()` keeps `at_once` sagas of each kind under way until `stop()`; then those end, and `wrong()` judges all."""

    def __init__(self, client: Client, seed: int, at_once: int) -> None:
        self._client = client
        self._orders = generate(ORDERS_MAX, seed)
        self._numbers = itertools.count()
        self._at_once = at_once
        self._stopping = False
        self.statuses: dict[str, str] = {}
        self.collected: dict[str, list[int]] = {}
        self.sent: dict[str, list[int]] = {}
        self.placed: list[Order] = []
        self.counts: Counter[str] = Counter()
        self.cut_off: list[str] = []

    @property
    def ended(self) -> int:
        return len(self.statuses) + len(self.collected)

    @property
    def started(self) -> int:
        return len(self.placed) + len(self.sent)

    def stop(self) -> None:
        self._stopping = True

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._at_once):
                group.create_task(self._keep_ordering())
                group.create_task(self._keep_collecting())

    async def _keep_ordering(self) -> None:
        while not self._stopping:
            order = self._orders[len(self.placed)]
            self.placed.append(order)
            handle = await self._start(order.id, place_order, order)
            self.statuses[order.id] = await self._end(handle)

    async def _keep_collecting(self) -> None:
        while not self._stopping:
            name = f"collect-{next(self._numbers)}"
            sent = self.sent[name] = [next(self._numbers) for _ in range(SIGNALS)]
            handle = await self._start(name, collect, SIGNALS)
            await asyncio.gather(*(self._signal(handle, number) for number in sent))
            status = await self._end(handle)
            if status == "COMPLETED":
                self.collected[name] = await self._result(handle)
            else:
                self.statuses[name] = status

    # --- calls, again until they are acknowledged: each has an id that makes it take effect once ---------------------------

    async def _start(self, name: str, saga: SagaFunction[..., Any], *args: object) -> Handle[Any]:
        while True:
            try:
                return await self._client.start(saga, *args, id=name)
            except Unavailable:
                await self._later("start")

    async def _signal(self, handle: Handle[Any], number: int) -> None:
        while True:
            try:
                await handle.signal("number", number, message_id=f"number-{number}")
                return
            except Unavailable:
                await self._later("signal")

    async def _end(self, handle: Handle[Any]) -> str:
        while True:
            try:
                try:
                    await handle.result()
                except SagaError:
                    pass  # it was undone; its status is read below
                return h.Status.Name((await raw.describe(handle)).status)
            except Unavailable:
                await self._later("result")

    async def _result(self, handle: Handle[Any]) -> list[int]:
        while True:
            try:
                found: list[int] = await handle.result()
                return found
            except Unavailable:
                await self._later("result")

    async def _later(self, call: str) -> None:
        self.counts[f"{call} sent again"] += 1
        await asyncio.sleep(AGAIN_SECONDS)

    # --- the oracle ------------------------------------------------------------------------------------------------------

    async def wrong(self, cell: ChaosCell, blows: Sequence[tuple[int, int]]) -> list[str]:
        """Everything that is wrong, in sentences, each with the history of its saga; and in `cut_off` the orders that
        were undone because the storm cut one step off too often."""
        found = []
        for sentence in self._wrong(cell):
            name = sentence.partition(" ")[0]
            try:
                events = await raw.history(self._client.handle(name))
            except ClientError as error:
                found.append(f"{sentence} (its history can't be read: {error})")
                continue
            if sentence == f"{name} is COMPENSATED, expected COMPLETED" and was_cut_off(events, blows):
                self.cut_off.append(f"{name} was undone because the storm cut off one step too often")
            else:
                found.append(f"{sentence}\n{in_short(events)}")
        return found

    def _wrong(self, cell: ChaosCell) -> list[str]:
        found = judge(cell.folder, self.placed, self.statuses)
        for name, sent in self.sent.items():
            got = self.collected.get(name)
            if got is None:
                found.append(f"{name} is {self.statuses.get(name, 'not at its end')}, expected COMPLETED")
            elif sorted(got) != sorted(2 * number for number in sent):
                found.append(f"{name} was sent {sorted(sent)} and collected {sorted(got)}")
        return found

    async def wrong_records(self) -> list[str]:
        """Nothing doubled in the record: one outcome a call, one event a sequence number, one event a message."""
        found = []
        for name in [order.id for order in self.placed] + list(self.sent):
            seen: Counter[str] = Counter()
            events = await raw.history(self._client.handle(name))
            if [event.seq for event in events] != list(range(len(events))):
                found.append(f"{name}: the sequence numbers of its history are {[event.seq for event in events]}")
            for event in events:
                kind = str(event.WhichOneof("kind"))
                body = getattr(event, kind)
                if kind in ("step_completed", "step_failed", "compensation_completed"):
                    seen[f"{kind.split('_')[0]} {body.call}"] += 1
                elif kind == "signal_received":
                    seen[f"message {body.message_id}"] += 1
            found += [f"{name}: {what} stands {count} times in its history" for what, count in seen.items() if count > 1]
        return found
