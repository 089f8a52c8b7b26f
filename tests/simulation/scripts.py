"""What the clients of a world do: start sagas, signal and stop them, wait for their ends, be the operator of what is stuck."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from durable_saga_server.journal import Run

from durable_saga.errors import AlreadyEnded, ClientError, NotFound, SagaError, SagaStuck, Unavailable
from tests.simulation import sagas
from tests.simulation.plan import Act, Start, TypePause

if TYPE_CHECKING:
    from tests.simulation.processes import ClientProcess
    from tests.simulation.world import World

T = TypeVar("T")


class Scripts:
    """`left` counts those that are not done."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.left = 0

    def run(self, script: Awaitable[None]) -> None:
        self.left += 1

        async def until_done() -> None:
            await script
            self.left -= 1

        self._world.clients["client-0"].spawn(until_done())

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask again until there is an answer."""
        while True:
            try:
                return await ask()
            except Unavailable:
                await asyncio.sleep(1)

    async def start(self, start: Start, client: ClientProcess) -> Any:
        await asyncio.sleep(start.at)
        saga = sagas.BY_NAME[start.kind]
        return await self._insist(lambda: client.client.start(saga, *start.arguments, id=start.saga))

    async def follow(self, start: Start, client: ClientProcess) -> None:
        handle = await self.start(start, client)
        for number, act in enumerate(start.acts):
            self.run(self._act(start.saga, act, number))
        while True:
            try:
                result = await self._insist(handle.result)
                self._world.say("clients", f"{start.saga} gave {result!r}")
                if start.kind == "chain" and sorted(result) != list(range(start.arguments[1])):
                    self._world.oracle.broken("G6", f"{start.saga} read {result}, not each of its signals once")
                return
            except SagaStuck:
                await self._skip_stuck(handle)
            except NotFound:
                if not self._world.oracle.record(Run("default", start.saga)).purged:
                    raise
                return
            except SagaError as error:
                self._world.say("clients", f"{start.saga} ended with {type(error).__name__}")
                return

    async def live_again(self, start: Start, client: ClientProcess) -> None:
        """The id of a saga that is purged is anybody's."""
        run = Run("default", start.saga)
        while not self._world.oracle.record(run).purged:
            await asyncio.sleep(5)
        self._world.oracle.may_begin_again.add(start.saga)
        handle = await self._insist(lambda: client.client.start(sagas.BY_NAME[start.kind], *start.arguments, id=start.saga))
        try:
            await self._insist(handle.result)
        except SagaError as error:
            self._world.say("clients", f"{start.saga} ended again, with {type(error).__name__}")

    async def _skip_stuck(self, handle: Any) -> None:
        """The operator's part."""
        for step in (await self._insist(handle.describe)).steps:
            if step.compensation_state == "stuck":
                try:
                    await self._insist(partial(handle.skip_compensation, step.call))
                except ClientError:
                    pass  # it went on, or ended, meanwhile

    async def _pause(self, handle: Any, seconds: float, clocks: Any) -> None:
        """And see to it that it goes on afterwards. Raises ClientError."""
        await self._insist(lambda: handle.pause("the plan", clocks=clocks))
        await asyncio.sleep(seconds)
        while (await self._insist(handle.describe)).is_open:
            try:
                await self._insist(lambda: handle.resume("the plan"))
            except AlreadyEnded:
                pass  # it is not paused, or it was paused in a run before, and the pause is on its way
            await asyncio.sleep(30)

    async def pause_type(self, pause: TypePause) -> None:
        await asyncio.sleep(pause.at)
        client = self._world.clients["client-1"].client
        await self._insist(lambda: client.pause(type=pause.kind, reason="the plan"))
        await asyncio.sleep(pause.seconds)
        await self._insist(lambda: client.resume(type=pause.kind))

    async def _act(self, saga: str, act: Act, number: int) -> None:
        await asyncio.sleep(act.after)
        handle: Any = self._world.clients["client-1"].client.handle(saga)
        try:
            if act.what == "signal":
                name, *values = act.argument
                await self._insist(lambda: handle.signal(name, *values, message_id=f"{saga}/{number}"))
            elif act.what == "pause":
                await self._pause(handle, *act.argument)
            else:
                await self._insist(lambda: getattr(handle, act.what)("the plan"))
        except ClientError as error:
            self._world.say("clients", f"{act.what} to {saga}: {type(error).__name__}")
