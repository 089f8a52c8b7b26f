"""A start: what is sent for it, what a second one of the same id must be, and a restart."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict, cast

from durable_saga import codec, errors
from durable_saga.client import arguments, raw
from durable_saga.client.asking import Asker
from durable_saga.client.listing import ms_of
from durable_saga.client.sending import text
from durable_saga.declared.compiled import function_of
from durable_saga.definition.definition import SagaDefinition
from durable_saga.definition.retry import to_ms
from durable_saga.definition.starting import check_start
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb.payloads import is_same_value
from durable_saga.replay.attributes import texts_of
from durable_saga.sealing.messages import check_open

IfExists = Literal["same", "fail", "again_after_failure", "again"]
_IF_EXISTS: Mapping[str, c.IfExists] = {
    "same": c.SAME, "fail": c.FAIL, "again_after_failure": c.AGAIN_AFTER_FAILURE, "again": c.AGAIN,
}  # fmt: skip


class StartOptions(TypedDict, total=False):
    """Options of a start. A saga's own parameter of the same name comes first, except for `id` and `timeout`, which no saga can
    have."""

    id: str | None
    """Your own id for the saga."""
    timeout: float | timedelta | None
    """Of the whole saga, instead of the one that it declares."""
    after: float | timedelta | None
    """Begin so much later, in seconds or as a timedelta."""
    at: datetime | None
    """Begin at this time, which has a time zone. In the past: at once."""
    if_exists: IfExists
    """What a start of an id does that is there: "same" (the default) is the same saga if its arguments are, "fail" raises
    AlreadyStarted, "again_after_failure" starts it again if it ended otherwise than completed, "again" if it has ended."""
    window: float | timedelta | None
    """One that ended longer ago than this does not count as there, whatever `if_exists` says."""
    memo: Mapping[str, Any] | None
    """Plain data for people: `describe()` shows it, nothing else looks at it."""


def options_in(saga: Any, kwargs: dict[str, Any]) -> StartOptions:
    """Takes the options out of the keyword arguments of a start."""
    own = {} if isinstance(saga, str) else function_of(saga).definition.signature.parameters
    by_name = {name for name, one in own.items() if one.kind is not one.POSITIONAL_ONLY}
    names = [name for name in StartOptions.__annotations__ if name in kwargs and name not in by_name]
    return cast(StartOptions, {name: kwargs.pop(name) for name in names})


def request_of(
    namespace: str, saga: Any, args: Sequence[Any], kwargs: Mapping[str, Any], options: StartOptions
) -> tuple[c.StartRequest, SagaDefinition | None]:  # fmt: skip
    """Without an id that was not given, and without a start id. Raises what `Client.start()` raises before anything is sent."""
    timeout, request = options.get("timeout"), c.StartRequest(namespace=namespace)
    definition: SagaDefinition | None = None
    if isinstance(saga, str):
        request.saga_type = text("the type of the saga", saga)
        data = codec.encode_message(args, kwargs, where=f"saga {saga}")
    else:
        definition = function_of(saga).definition
        data = check_start(definition, args, kwargs)
        request.saga_type, request.timeout_ms = definition.name, definition.timeout_ms
        request.keys.extend(definition.keys(*args, **kwargs) if definition.keys is not None else ())
        if definition.attributes is not None:
            request.attributes.update(texts_of(definition.attributes(*args, **kwargs)))
    request.input.CopyFrom(p.Payload(data=data))
    if timeout is not None:
        request.timeout_ms = to_ms(timeout, name="timeout")
    if (saga_id := options.get("id")) is not None:
        request.saga = text("id", saga_id)
    _add_times(request, options)
    if (memo := options.get("memo")) is not None:
        names = {text("a name in the memo", name): value for name, value in memo.items()}
        request.memo.CopyFrom(p.Payload(data=codec.encode(names, where="memo")))
    return request, definition


def _add_times(request: c.StartRequest, options: StartOptions) -> None:
    after, at, window = options.get("after"), options.get("at"), options.get("window")
    if after is not None and at is not None:
        raise errors.InvalidArgument("give `after` or `at`, not both")
    if after is not None:
        request.after_ms = to_ms(after, name="after")
    if at is not None:
        if not isinstance(at, datetime):
            raise errors.InvalidArgument(f"at is {at!r}: give a datetime with a time zone")
        request.start_at_ms = max(ms_of(at), 1)
    if window is not None:
        request.window_ms = to_ms(window, name="window")
        if not request.window_ms:
            raise errors.InvalidArgument(
                'window is 0: give more, or if_exists="again" for a new saga whenever the last one ended'
            )
    if_exists = options.get("if_exists", "same")
    if if_exists not in _IF_EXISTS:
        raise errors.InvalidArgument(f"if_exists is {if_exists!r}: use one of {', '.join(map(repr, _IF_EXISTS))}")
    request.if_exists = _IF_EXISTS[if_exists]


async def check_same(
    client: Asker, asked: c.StartRequest, there: c.StartReply, signature: inspect.Signature | None
) -> None:  # fmt: skip
    """Raises AlreadyStarted."""
    first, second = there.input, asked.input
    if there.saga_type == asked.saga_type and asked.if_exists != c.FAIL:
        if not there.HasField("input") or (not first.HasField("seal") and is_same_value(first, second)):
            return  # an earlier server does not tell the input
        await raw.fill(client, there.key, there)
        check_open(client.sealing, there.key, first)
        if arguments.are_same(first.data, second.data, signature):
            return
    if asked.if_exists == c.FAIL:
        raise errors.AlreadyStarted(f"saga {asked.saga!r} was started before: use another id, or another if_exists=")
    was = f"{there.saga_type}{arguments.shown(first.data) if first.data else ''}"
    raise errors.AlreadyStarted(
        f"saga {asked.saga!r} was started before, as {was}; this start is"
        f" {asked.saga_type}{arguments.shown(second.data)}: use another id, or give the same arguments"
    )


async def restarted(client: Asker, key: h.RunKey, message_id: str, words: Mapping[str, str]) -> int:
    """The number of the new run. The request names the run that is the newest now, so that of two at once one is refused, also
    where the run that the other one begins has ended by then. Raises AlreadyEnded and NotFound."""
    with suppress(errors.NotFound):  # the server says what to do then
        key = (await raw.describe_key(client, key, large=False)).key
    request = c.RestartRequest(key=key, message_id=message_id, reason=words["reason"], who=words["who"])
    return int((await client.transport.call("restart", request)).key.run)
