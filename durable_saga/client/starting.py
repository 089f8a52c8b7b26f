"""A second start of an id: it must be the same one."""

from __future__ import annotations

import inspect

from durable_saga import errors
from durable_saga.client import arguments, raw
from durable_saga.client.asking import Asker
from durable_saga.pb import client_pb2 as c
from durable_saga.pb.payloads import is_same_value
from durable_saga.sealing.messages import check_open


async def check_same(
    client: Asker, asked: c.StartRequest, there: c.StartReply, signature: inspect.Signature | None
) -> None:  # fmt: skip
    """Raises AlreadyStarted."""
    first, second = there.input, asked.input
    if there.saga_type == asked.saga_type:
        if not there.HasField("input") or (not first.HasField("seal") and is_same_value(first, second)):
            return  # an earlier server does not tell the input
        await raw.fill(client, there.key, there)
        check_open(client.sealing, there.key, first)
        if arguments.are_same(first.data, second.data, signature):
            return
    was = f"{there.saga_type}{arguments.shown(first.data) if first.data else ''}"
    raise errors.AlreadyStarted(
        f"saga {asked.saga!r} was started before, as {was}; this start is"
        f" {asked.saga_type}{arguments.shown(second.data)}: use another id, or give the same arguments"
    )
