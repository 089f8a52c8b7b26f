"""Every call times every role, over the wire: as a call of its own, and on the stream of calls. The table here is written by
hand from docs/identity.md, and not taken from the code."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc
import grpc.aio
import pytest

from durable_saga import connect
from durable_saga.pb import access_pb2, access_pb2_grpc, cell_pb2, client_pb2, client_pb2_grpc, worker_pb2, worker_pb2_grpc
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.calls import STREAMED
from durable_saga.pb.roles import Role
from tests.access.standing import Standing, slow, standing

KEY = h.RunKey(namespace="shop", saga="s")
READ = {"reader", "operator", "monitor", "admin"}
OPERATE = {"operator", "admin"}
SEND = {"sender", "admin"}
ALL = {"reader", "sender", "operator", "worker", "monitor", "admin"}
TABLE: Mapping[str, tuple[set[str], Any]] = {
    "Describe": (READ, c.DescribeRequest(key=KEY)), "History": (READ, c.HistoryRequest(key=KEY)),
    "Wait": (READ, c.WaitRequest(key=KEY)), "List": (READ, c.ListRequest(namespace="shop")),
    "Workers": (READ, c.WorkersRequest(namespace="shop")),
    "Statistics": (READ, c.StatisticsRequest(namespace="shop")), "Changes": (READ, c.ChangesRequest(namespace="shop")),
    "Query": (READ, c.QueryRequest(key=KEY, name="n")),
    "Fetch": (ALL, c.FetchRequest(key=KEY)),
    "Start": (SEND, c.StartRequest(namespace="shop", saga="s", saga_type="t")),
    "Signal": (SEND, c.SignalRequest(key=KEY, message_id="m", name="n")),
    "Publish": (SEND, c.PublishRequest(namespace="shop", event="e", saga="s", message_id="p")),
    "Cancel": (OPERATE, c.CancelRequest(key=KEY, message_id="c")),
    "Compensate": (OPERATE, c.CompensateRequest(key=KEY, message_id="k")),
    "Recover": (OPERATE, c.RecoverRequest(key=KEY, message_id="r")), "Terminate": (OPERATE, c.TerminateRequest(key=KEY)),
    "Pause": (OPERATE, c.PauseRequest(key=KEY, message_id="a")), "Resume": (OPERATE, c.ResumeRequest(key=KEY, message_id="b")),
    "Restart": (OPERATE, c.RestartRequest(key=KEY, message_id="x")),
    "RetryNow": (OPERATE, c.RetryNowRequest(key=KEY, message_id="y")),
    "PauseType": (OPERATE, c.PauseTypeRequest(namespace="shop", saga_type="t")),
    "ResumeType": (OPERATE, c.ResumeTypeRequest(namespace="shop", saga_type="t")),
    "RollOut": (OPERATE, c.RollOutRequest(namespace="shop")), "Builds": (READ, c.BuildsRequest(namespace="shop")),
    "Decide": (OPERATE, c.DecideRequest(key=KEY, decision=h.CompensationDecided(verb=h.CompensationDecided.SKIP, call="1"))),
    "Claim": ({"monitor", "admin"}, c.ClaimRequest(namespace="shop", group="g", item="i", lease_ms=1)),
    "Beat": ({"worker", "admin"}, worker_pb2.BeatRequest(worker="nobody")),
    "Identify": (ALL, access_pb2.IdentifyRequest()),
    "Grant": ({"admin"}, access_pb2.GrantRequest(name="n", rights=access_pb2.Rights(roles=["reader"], namespaces=["shop"]))),
    "Tokens": ({"admin"}, access_pb2.TokensRequest(namespace="shop")),
    "Revoke": ({"admin"}, access_pb2.RevokeRequest(namespace="shop", id="none")),
    "Audit": ({"admin"}, access_pb2.AuditRequest(namespace="shop")),
}  # fmt: skip
STREAMS: Mapping[str, set[str]] = {"WatchCell": ALL, "Calls": ALL, "Work": {"worker", "admin"}}
OF_NO_NAMESPACE = {"Beat", "Identify"}
DENIED = "PERMISSION_DENIED"


def test_the_table_of_this_test_has_every_call() -> None:
    files = (client_pb2, worker_pb2, access_pb2)
    methods = {one.name for file in files for service in file.DESCRIPTOR.services_by_name.values() for one in service.methods}
    assert methods == {*TABLE, *STREAMS}
    assert {role.value for role in Role} == ALL


class Wire:
    """A channel with the metadata of one caller."""

    def __init__(self, stand: Standing, token: str) -> None:
        self._channel = grpc.aio.insecure_channel(stand.at)
        made: list[Any] = [client_pb2_grpc.SagasStub, worker_pb2_grpc.WorkStub, access_pb2_grpc.AccessStub]
        self._stubs = [kind(self._channel) for kind in made]
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def method(self, name: str) -> Any:
        return next(getattr(stub, name) for stub in self._stubs if hasattr(stub, name))

    async def unary(self, name: str, request: Any) -> str:
        """The status."""
        try:
            await self.method(name)(request, metadata=self.metadata)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    async def raw(self, method: str) -> str:
        """The status of a unary call with an empty request."""
        try:
            await self._channel.unary_unary(method, lambda data: data, lambda data: data)(b"", metadata=self.metadata)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    async def streamed(self, requests: Mapping[str, Any]) -> dict[str, str]:
        """On one stream, all at once: the status of each."""
        calls = [
            c.Call(number=n, method=name, request=one.SerializeToString()) for n, (name, one) in enumerate(requests.items())
        ]
        stream = self.method("Calls")(metadata=self.metadata)
        await stream.write(c.CallFrame(calls=calls))
        names, found = list(requests), dict[str, str]()
        while len(found) < len(names):
            for reply in (await stream.read()).replies:
                found[names[reply.number]] = reply.code or "OK"
        stream.cancel()
        return found

    async def first(self, name: str, *sent: Any) -> str:
        """The status of a stream, OK when a first frame came."""
        method = self.method(name)
        stream = (
            method(cell_pb2.CellRequest(), metadata=self.metadata) if name == "WatchCell" else method(metadata=self.metadata)
        )
        try:
            for frame in sent:
                await stream.write(frame)
            await stream.read()
        except grpc.aio.AioRpcError as error:
            return error.code().name
        except asyncio.InvalidStateError:  # the server ended it before a write
            return str((await stream.code()).name)
        stream.cancel()
        return "OK"

    async def close(self) -> None:
        await self._channel.close(None)


def moved(request: Any, namespace: str) -> Any:
    """The same in another namespace."""
    found = type(request).FromString(request.SerializeToString())
    if isinstance(found, access_pb2.GrantRequest):
        found.rights.namespaces[:] = [namespace]
    elif "key" in found.DESCRIPTOR.fields_by_name:
        found.key.namespace = namespace
    else:
        found.namespace = namespace
    return found


def hello(namespace: str, *types: str) -> worker_pb2.WorkerFrame:
    greeting = worker_pb2.Hello(
        worker=f"w-{namespace}-{'-'.join(types)}", protocol=1, namespace=namespace, saga_types=types, capacity=1
    )
    return worker_pb2.WorkerFrame(items=[worker_pb2.WorkerItem(hello=greeting)])


@pytest.mark.parametrize("role", sorted(ALL))
def test_a_role_may_what_its_row_says_in_its_namespace_and_nothing_in_another(role: str) -> None:
    async def scenario() -> None:
        async with standing(guarded=True) as stand:
            wire = Wire(stand, (await stand.token(role)).token)
            streamed = {name: request for name, (_, request) in TABLE.items() if name in STREAMED}
            replies = await wire.streamed(streamed)
            for name, (roles, request) in TABLE.items():
                status = await wire.unary(name, request)
                assert (status != DENIED) == (role in roles), (name, status)
                assert status not in ("UNAUTHENTICATED", "UNKNOWN", "UNIMPLEMENTED", "INTERNAL"), (name, status)
                if name in STREAMED:
                    assert (replies[name] != DENIED) == (role in roles), (name, replies[name])
                if name not in OF_NO_NAMESPACE:
                    assert await wire.unary(name, moved(request, "bank")) == DENIED, name
                    assert await wire.unary(name, moved(request, "")) == DENIED, name
            elsewhere = await wire.streamed({name: moved(request, "bank") for name, request in streamed.items()})
            assert set(elsewhere.values()) == {DENIED}
            for name, roles in STREAMS.items():
                sent: dict[str, Any] = {"Work": hello("shop", "t"), "Calls": c.CallFrame(calls=[c.Call(method="Nothing")])}
                assert (await wire.first(name, *filter(None, [sent.get(name)])) == "OK") == (role in roles), name
            assert await wire.first("Work", hello("bank", "t")) == DENIED
            await wire.close()

    asyncio.run(scenario())


def test_who_shows_nothing_or_something_wrong_may_nothing_but_ask_for_health() -> None:
    async def scenario() -> None:
        async with standing(guarded=True) as stand:
            good = (await stand.token("admin", namespaces=["*"])).token
            for token in ("", "nonsense", good[:-1], good + "x", good.replace("dst_", "dst"), "dst__", "dst_" + "é" * 5000):
                wire = Wire(stand, token if token.isascii() else "dst_" + "e" * 5_000)
                told = await asyncio.gather(*(wire.unary(name, request) for name, (_, request) in TABLE.items()))
                assert set(told) == {"UNAUTHENTICATED"}, token
                for name in STREAMS:
                    sent = [hello("shop", "t")] if name == "Work" else []
                    assert await wire.first(name, *sent) == "UNAUTHENTICATED", name
                await wire.close()
            wire = Wire(stand, "")
            assert await wire.raw("/grpc.health.v1.Health/Check") == "OK"
            assert await wire.raw("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo") == "UNIMPLEMENTED"
            await wire.close()

    asyncio.run(scenario())


def test_a_worker_may_only_greet_for_its_types_and_is_looked_at_item_by_item() -> None:
    async def scenario() -> None:
        async with standing(guarded=True) as stand:
            wire = Wire(stand, (await stand.token("worker", types=["order", "refund-*"])).token)
            assert await wire.first("Work", hello("shop", "order", "refund-eu")) == "OK"
            assert await wire.first("Work", hello("shop", "order", "payment")) == DENIED
            release = worker_pb2.Release(
                key=KEY, incarnation=b"i" * 16, epoch=1, saga_type="payment", status=h.RUNNING, next_seq=1
            )
            stream = wire.method("Work")(metadata=wire.metadata)
            await stream.write(hello("shop", "order"))
            await stream.read()
            await stream.write(worker_pb2.WorkerFrame(items=[worker_pb2.WorkerItem(release=release)]))
            assert (await stream.code()).name == DENIED
            await wire.close()

    asyncio.run(scenario())


async def end_of(stream: Any) -> str:
    """Its status, once all that came before is read."""
    aio: Any = grpc.aio  # its annotations know no EOF
    try:
        while await stream.read() is not aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


def test_every_stream_ends_within_moments_of_what_it_was_opened_with() -> None:
    async def scenario() -> None:
        async with standing(guarded=True) as stand:
            made = await stand.token("admin")
            wire = Wire(stand, made.token)
            calls, work = (wire.method(name)(metadata=wire.metadata) for name in ("Calls", "Work"))
            cell = wire.method("WatchCell")(cell_pb2.CellRequest(), metadata=wire.metadata)
            waiting = c.Call(number=1, method="Wait", request=c.WaitRequest(key=KEY, wait_ms=30_000).SerializeToString())
            assert await wire.unary("Start", TABLE["Start"][1]) == "OK"
            await calls.write(c.CallFrame(calls=[waiting]))
            await work.write(hello("shop", "t"))
            await asyncio.gather(work.read(), cell.read())
            await stand.service.calls["Revoke"](access_pb2.RevokeRequest(id=made.made.id))
            ended = await asyncio.wait_for(asyncio.gather(*(end_of(one) for one in (calls, work, cell))), 10)
            assert ended == ["UNAVAILABLE"] * 3
            assert await wire.unary("Identify", TABLE["Identify"][1]) == "UNAUTHENTICATED"
            await wire.close()

    asyncio.run(scenario())


def test_a_sign_of_life_is_taken_from_whom_the_worker_belongs_to_alone() -> None:
    async def scenario() -> None:
        async with standing(guarded=True) as stand:
            own = Wire(stand, (await stand.token("worker", name="own")).token)
            other = Wire(stand, (await stand.token("worker", name="other")).token)
            stream = own.method("Work")(metadata=own.metadata)
            await stream.write(hello("shop", "t"))
            await stream.read()
            beat = worker_pb2.BeatRequest(worker="w-shop-t")
            assert (await own.unary("Beat", beat), await other.unary("Beat", beat)) == ("OK", DENIED)
            stream.cancel()
            await own.close()
            await other.close()

    asyncio.run(scenario())


def test_the_engine_in_this_process_asks_nobody_and_records_nothing() -> None:
    async def scenario() -> None:
        async with connect("memory:") as client:
            known = await client.identify()
            assert (known.name, [list(one.roles) for one in known.rights]) == ("", [["admin"]])
            handle = await client.start(slow)
            await handle.terminate("now")
            reply = await client.transport.call("audit", access_pb2.AuditRequest())
            assert list(reply.entries) == []

    asyncio.run(scenario())
