"""A real server with a real port, for the tests of who may do what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from durable_saga_server.access.guard import Guard
from durable_saga_server.access.policy import Policy
from durable_saga_server.clock import SystemClock
from durable_saga_server.incoming.grpc_server import GrpcServer
from durable_saga_server.journal import Journal
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.service import HistoryService

from durable_saga import Client, connect, saga, signal, step
from durable_saga.pb import access_pb2 as a


@step
async def charge(amount: int) -> int:
    return amount


@saga
async def pay(amount: int) -> int:
    return await charge(amount)


@saga
async def slow() -> str:
    await signal("go")
    return "gone"


class MovedClock(SystemClock):
    """The time of the system, and `ahead_ms`."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


@dataclass(frozen=True)
class Standing:
    service: HistoryService
    server: GrpcServer
    clock: MovedClock

    @property
    def at(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    async def token(
        self, *roles: str, namespaces: Sequence[str] = ("shop",), types: Sequence[str] = (), name: str = "", days: float = 0
    ) -> a.GrantReply:
        """As whoever may open the journal makes one."""
        rights = a.Rights(roles=roles, namespaces=namespaces, saga_types=types)
        request = a.GrantRequest(name=name or "-".join(roles), rights=rights, lifetime_ms=int(days * 86_400_000), who="root")
        made: a.GrantReply = await self.service.calls["Grant"](request)
        return made

    async def client(self, *roles: str, **options: Any) -> Client:
        """With a token of those roles, in the namespace shop."""
        return connect(self.at, namespace="shop", token=(await self.token(*roles, **options)).token)


@asynccontextmanager
async def standing(
    journal: Journal | None = None, *, guarded: bool = False, policy: Policy | None = None, **options: Any
) -> AsyncIterator[Standing]:
    """`guarded` or with a `policy`: it wants to know who calls, and takes tokens too. `options` are the server's."""
    clock = MovedClock()
    service = HistoryService(journal or MemoryJournal(), clock=clock)
    await service.start_up()
    if guarded or policy is not None:
        options["guard"] = Guard(service.journal.ledger, clock, policy=policy, tokens=True)
    server = GrpcServer(service, "127.0.0.1:0", **options)
    await server.start()
    try:
        yield Standing(service, server, clock)
    finally:
        stopping = asyncio.create_task(server.stop(1))
        await service.shut_down()
        await stopping
