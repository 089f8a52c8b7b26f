"""What a client sends that a saga is to know of, a start, a signal or an event: within its hooks, with its trace and what it
carries."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, Protocol

from durable_saga.hooks import Call, Hook, around
from durable_saga.replay.carrying import Carry
from durable_saga.telemetry import tracing
from durable_saga.transport.transport import Transport

_WHAT = {"start": "saga_type", "signal": "signal", "publish": "event"}


class Sender(Protocol):
    """A client."""

    transport: Transport
    namespace: str
    hooks: tuple[Hook, ...]
    carry: Carry


async def sent(
    client: Sender, kind: Literal["start", "signal", "publish"], request: Any, name: str, saga: str, args: tuple[Any, ...],
    kwargs: Mapping[str, Any] = MappingProxyType({}),
) -> Any:  # fmt: skip
    """The reply. Raises ClientErrors, and what a hook raises."""

    async def send() -> Any:
        attributes = {"durable_saga.saga": saga} if saga else {}
        with tracing.sending(f"{kind} {name}", {**attributes, f"durable_saga.{_WHAT[kind]}": name}) as carried:
            request.carried.update(carried)
            if values := client.carry.taken():
                request.carried_values.data = values
            return await client.transport.call(kind, request)

    if client.hooks:
        return await around(client.hooks, Call(kind, name, client.namespace, saga, args, MappingProxyType(dict(kwargs))), send)
    return await send()
