"""Payloads wherever they stand in a message: found by the descriptors, held as bytes or as a reference to chunks.

A payload above PAYLOAD_INLINE_BYTES_MAX is *large*: on the way to the server it has its data, in the journal and on the way
from it only `hash` and `size`. A worker and a client put the data back where they need it. The limits that both sides of the
wire name stand here too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from durable_saga.pb import payload_pb2 as p

PAYLOAD_INLINE_BYTES_MAX = 16 * 1024
PAYLOAD_BYTES_MAX = 32 * 1024 * 1024
EVENTS_PER_RUN_MAX = 50_000
HISTORY_BYTES_MAX = 50 * 1024 * 1024
LARGE_BYTES_PER_RUN_MAX = 256 * 1024 * 1024
WARN_AT_SHARE = 5
ATTRIBUTES_PER_RUN_MAX = 16
ATTRIBUTE_NAME_CHARACTERS_MAX = 64
ATTRIBUTE_CHARACTERS_MAX = 255
DETERMINISM_RULES = 2
"""What a run that starts now is run by, to its end: docs/replay-core.md."""
FRAME_ITEMS_MAX = 512
FRAME_BYTES_MAX = 8 * 1024 * 1024


def payloads(message: Any) -> Iterator[p.Payload]:
    """Every payload in the message, itself included."""
    if isinstance(message, p.Payload):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if isinstance(value, Mapping):
            inner = [one for one in value.values() if hasattr(one, "ListFields")]
        else:
            inner = [value] if hasattr(value, "ListFields") else list(value)
        for one in inner:
            yield from payloads(one)


def is_large(payload: p.Payload) -> bool:
    return bool(payload.size) or len(payload.data) > PAYLOAD_INLINE_BYTES_MAX


def large_bytes(message: Any) -> int:
    """The sizes of its large payloads, alike for data and references."""
    return sum(payload.size or len(payload.data) for payload in payloads(message) if is_large(payload))


def holds_large(message: Any) -> bool:
    """Whether any payload comes as data that belongs into chunks. Cheap for small messages."""
    if message.ByteSize() <= PAYLOAD_INLINE_BYTES_MAX:
        return False
    return any(len(one.data) > PAYLOAD_INLINE_BYTES_MAX for one in payloads(message))


def is_missing(payload: p.Payload) -> bool:
    """A reference whose data is not here."""
    return bool(payload.size) and not payload.data


def is_same_value(one: p.Payload, other: p.Payload) -> bool:
    """Byte for byte, whether the data is here or only a reference."""
    if is_missing(one) or is_missing(other):
        return (one.hash or hash_of(one.data)) == (other.hash or hash_of(other.data))
    return bool(one.data == other.data)


def missing_in(message: Any) -> list[p.Payload]:
    return [payload for payload in payloads(message) if is_missing(payload)]


def strip_large(commit: Any) -> None:
    """Leave references alone in its events: their data is in the journal already."""
    for event in commit.events:
        if event.large_bytes:
            for payload in payloads(event):
                if payload.hash:
                    payload.ClearField("data")


def items_in_frame(sizes: Sequence[int]) -> int:
    """How many of the items of these sizes, in bytes, go into the next frame: FRAME_ITEMS_MAX, FRAME_BYTES_MAX, but at least
    one."""
    if len(sizes) == 1:
        return 1
    total = 0
    for count, size in enumerate(sizes[:FRAME_ITEMS_MAX]):
        total += size
        if count and total > FRAME_BYTES_MAX:
            return count
    return min(len(sizes), FRAME_ITEMS_MAX)


def hash_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
