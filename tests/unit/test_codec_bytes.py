"""Bytes from anywhere: a value or DecodeError, in bounded time and memory, also on a small stack."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import msgpack
import pytest

from durable_saga import codec
from durable_saga.codec import extension as ext
from durable_saga.errors import DecodeError, LimitExceeded, NotSerializable
from tests.unit.codec_models import Holds, Parent

STACK_BYTES = 512 * 1024


@dataclasses.dataclass
class Node:
    inner: Node | int | None = None

    def __post_init__(self) -> None: ...


class Pair(NamedTuple):
    one: int
    other: int = 2


@dataclasses.dataclass
class Picky:
    number: int

    def __post_init__(self) -> None:
        if self.number > 1:
            raise OSError("no such number")


def nested(depth: int, code: int) -> bytes:
    data = b"\xc0"
    for _ in range(depth):
        data = msgpack.packb(msgpack.ExtType(code, b"\x91" + data))
    return data


def collides(count: int) -> list[Any]:
    """Whole numbers of one hash."""
    return [msgpack.ExtType(ext.BIG_INT, str(n * (2**61 - 1)).encode()) for n in range(1, count)]


def extension(code: int, value: Any) -> bytes:
    return bytes(msgpack.packb(msgpack.ExtType(code, msgpack.packb(value))))


HOSTILE: dict[str, tuple[bytes, str]] = {
    "many extensions": (nested(2_000, ext.TUPLE), "nested deeper"),
    "many sets": (nested(200, ext.FROZENSET), "nested deeper"),
    "many tags": (nested(150, ext.TAGGED), "no encoded value"),
    "many lists": (b"\x91" * 1_000 + b"\xc0", "nested deeper"),
    "many dicts": (b"\x81\xa1a" * 400 + b"\xc0", "nested deeper"),
    "headers of lists that are not there": (b"\xdd\x01\xff\xff\xff" * 1_000, "No more data"),
    "the same in an extension": (
        bytes(msgpack.packb(msgpack.ExtType(ext.TUPLE, b"\xdd\x01\xff\xff\xff" * 1_000))),
        "No more data",
    ),
    "a set of one hash": (extension(ext.SET, collides(10_000)), "HASH_COLLISIONS_MAX"),
    "a dict of one hash": (extension(ext.MAP, [[key, 1] for key in collides(10_000)]), "HASH_COLLISIONS_MAX"),
    "numbers as keys of a map": (bytes(msgpack.packb({1: 2})), "not allowed for map key"),
    "too many values": (b"\xdd" + (6_000_000).to_bytes(4, "big") + b"\xc0" * 6_000_000, "max_array_len"),
    "too many values in parts": (b"\x92" + 2 * (b"\xdd" + (3_000_000).to_bytes(4, "big") + b"\xc0" * 3_000_000), "VALUES_MAX"),
    "a timestamp": (bytes(msgpack.packb([msgpack.Timestamp(1)])), "a timestamp of msgpack"),
    "a long timestamp": (bytes(msgpack.packb({"a": msgpack.Timestamp(2**40, 5)})), "a timestamp of msgpack"),
    "a number of 5,000 digits": (bytes(msgpack.packb(msgpack.ExtType(ext.BIG_INT, b"9" * 5_000))), "too many digits"),
    "a set of lists": (extension(ext.SET, [[1]]), "value: "),
    "a map of one": (extension(ext.MAP, [[1]]), "value: "),
    "an extension that holds no list": (extension(ext.TUPLE, 1), "value: "),
    "a tag without a name": (extension(ext.TAGGED, [1, 2]), "value: "),
    "a record of nothing": (extension(ext.RECORD, []), "value: "),
    "a zone that is not there": (extension(ext.TAGGED, ["zoned", [1, "Mars/Olympus"]]), "value: "),
    "no complex number": (extension(ext.TAGGED, ["complex", ["a", {}]]), "value: "),
    "no deque": (extension(ext.TAGGED, ["deque", 1]), "value: "),
    "no timedelta": (bytes(msgpack.packb(msgpack.ExtType(ext.TIMEDELTA, msgpack.packb(["a", 1, 1])))), "value: "),
    "no decimal": (bytes(msgpack.packb(msgpack.ExtType(ext.DECIMAL, b"ten"))), "value: "),
    "no UUID": (bytes(msgpack.packb(msgpack.ExtType(ext.UUID, b"1"))), "value: "),
    "no text": (b"\xa1\xff", "value: "),
    "nothing": (b"", "value: "),
    "more behind it": (b"\x01\x01", "value: "),
}
"""The bytes, and of some what stopped them: the bound, before they cost anything."""


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_a_decode_error(name: str) -> None:
    data, words = HOSTILE[name]
    with pytest.raises(DecodeError, match=words):
        codec.decode(data)


def on_a_small_stack(work: Callable[[], Any]) -> Any:
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            found.append(error)

    before = threading.stack_size(STACK_BYTES)
    try:
        thread = threading.Thread(target=run)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    return found[0]


def deep(depth: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    ("wrap", "annotation", "levels"),
    [
        (lambda inner: [inner], Any, 101), (lambda inner: (inner,), Any, 101), (lambda inner: {"a": inner}, Any, 101),
        (lambda inner: {1: inner}, Any, 101), (lambda inner: frozenset([inner]), Any, 101), (Node, Node, 50),
        (lambda inner: Parent() if inner == 1 else [inner], Any, 99),
    ],
)  # fmt: skip
def test_one_depth_holds_on_both_sides_and_on_a_small_stack(wrap: Callable[[Any], Any], annotation: Any, levels: int) -> None:
    def there_and_back() -> Any:
        return codec.decode(codec.encode(deep(levels, wrap), where="v", annotation=annotation), annotation)

    def too_deep() -> Any:
        return codec.encode(deep(levels * 2 + 3, wrap), where="v", annotation=annotation)

    assert not isinstance(on_a_small_stack(there_and_back), BaseException)
    refused = on_a_small_stack(too_deep)
    assert isinstance(refused, NotSerializable)
    assert "nested deeper than 100 levels" in str(refused)


def test_hostile_depth_ends_no_process_on_a_small_stack() -> None:
    for name in ("many extensions", "many sets", "many tags", "many lists", "many dicts"):
        assert isinstance(on_a_small_stack(lambda data=HOSTILE[name][0]: codec.decode(data)), DecodeError)  # type: ignore[misc]


def test_what_would_be_refused_later_is_refused_when_it_is_given() -> None:
    with pytest.raises(LimitExceeded, match="VALUES_MAX"):
        codec.encode([None] * (codec.VALUES_MAX + 1), where="v")
    with pytest.raises(NotSerializable, match="HASH_COLLISIONS_MAX"):
        codec.encode({n * (2**61 - 1) for n in range(1_500)}, where="v")


def test_a_model_that_does_not_want_its_fields_is_a_decode_error() -> None:
    with pytest.raises(DecodeError, match=r"v: Picky can't be made from its fields: OSError: no such number"):
        codec.decode(codec.encode({"number": 2}, where="v"), Picky, where="v")
    with pytest.raises(DecodeError, match=r"v: 1 validation error for Holds\nparent\.a\n.*valid integer"):
        codec.decode(codec.encode({"parent": {"a": "x"}}, where="v"), Holds, where="v")


@pytest.mark.parametrize("items", [[], [1, 2, 3], ["a", 1]])
def test_a_named_tuple_of_another_length_is_a_decode_error(items: list[Any]) -> None:
    with pytest.raises(DecodeError, match="v"):
        codec.decode(codec.encode(items, where="v"), Pair, where="v")


def test_a_named_tuple_of_before_it_had_another_field_is_readable() -> None:
    assert codec.decode(codec.encode((1,), where="v"), Pair) == Pair(1, 2)
