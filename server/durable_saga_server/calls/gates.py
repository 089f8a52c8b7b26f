"""What a client may say: each word, number and list of a request has a limit with a name, looked at before anything else.

A request that is beyond one is refused as INVALID_ARGUMENT, with the limit and what was sent. Lengths and hashes of values
are not a client's to tell: they are taken off. A field that no table names has the limit of an id.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import limits
from durable_saga.pb import payload_pb2 as p
from durable_saga_server.failures import ServiceError

R = TypeVar("R")
HASH_BYTES_MAX = 32
WORDS: Mapping[str, int] = {
    "namespace": limits.ID_CHARACTERS_MAX, "saga": limits.ID_CHARACTERS_MAX, "saga_type": limits.ID_CHARACTERS_MAX,
    "keys": limits.ID_CHARACTERS_MAX, "message_id": limits.ID_CHARACTERS_MAX, "name": limits.ID_CHARACTERS_MAX,
    "event": limits.ID_CHARACTERS_MAX, "correlation_key": limits.ID_CHARACTERS_MAX, "worker": limits.ID_CHARACTERS_MAX,
    "call": limits.CALL_CHARACTERS_MAX, "group": limits.ITEM_CHARACTERS_MAX, "item": limits.ITEM_CHARACTERS_MAX,
    "reason": limits.REASON_CHARACTERS_MAX, "who": limits.WHO_CHARACTERS_MAX, "note": limits.NOTE_CHARACTERS_MAX,
    "page": limits.PAGE_CHARACTERS_MAX, "blocked_at": limits.REASON_CHARACTERS_MAX, "build": limits.BUILD_CHARACTERS_MAX,
    "failure_type": limits.ID_CHARACTERS_MAX, "id_prefix": limits.ID_CHARACTERS_MAX,
}  # fmt: skip
"""Characters of a text, or of each in a list."""
NUMBERS: Mapping[str, int] = {
    "run": limits.RUN_NUMBER_MAX, "limit": limits.RUN_NUMBER_MAX, "from_seq": limits.SEQ_MAX, "size": limits.NUMBER_MAX,
    "timeout_ms": limits.DURATION_MS_MAX, "default_timeout_ms": limits.DURATION_MS_MAX, "lease_ms": limits.DURATION_MS_MAX,
    "wait_ms": limits.DURATION_MS_MAX, "after_ms": limits.TIME_MS_MAX, "started_before_ms": limits.TIME_MS_MAX,
    "started_after_ms": limits.TIME_MS_MAX, "ended_after_ms": limits.TIME_MS_MAX, "ended_before_ms": limits.TIME_MS_MAX,
}  # fmt: skip
"""From 0 on."""
_WORDS_OF = {"saga": "saga id", "keys": "correlation key", "name": "signal name", "event": "event name"}
LISTS: Mapping[str, int] = {
    "keys": limits.KEYS_PER_START_MAX, "status": limits.STATUSES_MAX, "sub_state": limits.STATUSES_MAX,
    "attributes": limits.KEYS_PER_START_MAX,
}  # fmt: skip


def check_request(request: Any) -> None:
    """Raises ServiceError. Takes off what is not a client's to tell."""
    for field, value in request.ListFields():
        name = field.name
        if field.message_type is not None:
            _check_inner(name, value)
        elif field.is_repeated:
            _check_count(name, len(value))
            for one in value:
                _check_value(field, one)
        else:
            _check_value(field, value)


def _check_inner(name: str, value: Any) -> None:
    if isinstance(value, p.Payload):
        value.ClearField("hash")
        value.ClearField("size")
        if value.HasField("seal"):
            _check_seal(value.seal)
    elif hasattr(value, "ListFields"):
        check_request(value)
        if isinstance(value, h.CompensationDecided):
            _check_decision(value)
    else:
        _check_count(name, len(value))  # search attributes, whose texts are looked at by their names


def _check_seal(seal: p.Seal) -> None:
    most = limits.SEAL_HEADER_BYTES_MAX
    if len(seal.header) > most:
        raise ServiceError("INVALID_ARGUMENT", f"the header of a seal has {len(seal.header)} bytes; at most {most} are allowed")
    for name in ("codec", "key"):
        if len(getattr(seal, name)) > limits.ID_CHARACTERS_MAX:
            raise ServiceError("INVALID_ARGUMENT", f"the {name} of a seal has more than {limits.ID_CHARACTERS_MAX} characters")


def _said(name: str) -> str:
    return _WORDS_OF.get(name, name.replace("_", " "))


def _check_count(name: str, count: int) -> None:
    most = LISTS.get(name, limits.KEYS_PER_START_MAX)
    if count > most:
        raise ServiceError("INVALID_ARGUMENT", f"{name}: there are {count}; at most {most} are allowed")


def _check_value(field: Any, value: Any) -> None:
    name = field.name
    if isinstance(value, str):
        most = WORDS.get(name, limits.ID_CHARACTERS_MAX)
        if len(value) > most:
            raise ServiceError("INVALID_ARGUMENT", f"the {_said(name)} has {len(value)} characters; 1 to {most} are allowed")
    elif field.enum_type is not None:
        if value not in field.enum_type.values_by_number:
            raise ServiceError("INVALID_ARGUMENT", f"{name}: this server knows no {field.enum_type.name} {value}")
    elif isinstance(value, bytes):
        if len(value) > HASH_BYTES_MAX:
            raise ServiceError("INVALID_ARGUMENT", f"{name} has {len(value)} bytes; at most {HASH_BYTES_MAX} are allowed")
    elif not isinstance(value, bool):
        most = NUMBERS.get(name, limits.NUMBER_MAX)
        if not 0 <= value <= most:
            raise ServiceError("INVALID_ARGUMENT", f"{name} is {value}; 0 to {most} are allowed")


def gated(call: Callable[[Any], Awaitable[R]]) -> Callable[[Any], Awaitable[R]]:
    """The call behind the gate."""

    @functools.wraps(call)
    async def checked(request: Any) -> R:
        check_request(request)
        return await call(request)

    return checked


def _check_decision(decision: h.CompensationDecided) -> None:
    """Raises ServiceError for a verb that says nothing."""
    if decision.verb == h.CompensationDecided.VERB_UNSPECIFIED:
        raise ServiceError("INVALID_ARGUMENT", "a decision must be one of RETRY, SKIP and RESOLVE")
