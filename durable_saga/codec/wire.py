"""Bytes to a tree and back: msgpack with our extensions, bounded for bytes from anywhere.

Extensions that hold msgpack again become a `Node` each and are unpacked after the C code around them has returned, one level
after the other, never inside it. `unpack` raises DecodeError and nothing else, whatever the bytes are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack

from durable_saga.codec import extension as ext
from durable_saga.codec.misfit import DECIMAL_DIGITS_MAX, DEPTH_MAX, HASH_COLLISIONS_MAX, VALUES_MAX, Misfit
from durable_saga.errors import DecodeError

INT_MIN, INT_MAX = -(2**63), 2**64 - 1
pack: Callable[[Any], bytes] = msgpack.Packer(use_bin_type=True, strict_types=True, autoreset=True).pack
_unpackb: Callable[..., Any] = msgpack.unpackb
_SURELY_SMALL_BYTES = 2_048
_SCALAR_HEADS = frozenset(
    [*range(0x80), *range(0xA0, 0xC1), *range(0xC2, 0xC7), *range(0xCA, 0xD4), *range(0xD9, 0xDC), *range(0xE0, 0x100)]
)
"""The first byte of a number, text, bytes, None, True or False."""
_HEADERS = bytes([*range(0x80, 0xA0), 0xC7, 0xC8, 0xC9, *range(0xD4, 0xD9), *range(0xDC, 0xE0)])
"""The first byte of every container and extension. Where there are few of them, nothing can be nested deeply."""
SCALAR_LEVELS = 3
"""A scalar that is written as a tagged list, such as a complex number, does not count as a level for encode()."""
_EXTENSION = re.compile(rb"[\xc7-\xc9\xd4-\xd8]")
_TIMESTAMPS = (b"\xd6\xff", b"\xd7\xff", b"\xc7\x0c\xff")


class Node:
    """An extension that holds msgpack: its number, and what was in it, a list."""

    __slots__ = ("code", "items")

    def __init__(self, code: int, items: Any) -> None:
        self.code = code
        self.items = items


def node(code: int, items: Any) -> Any:
    """An extension that holds these, to be packed."""
    return msgpack.ExtType(code, pack(items))


def tagged(name: str, plain: Any) -> Any:
    return msgpack.ExtType(ext.TAGGED, pack([name, plain]))


def unpack(data: bytes, where: str) -> tuple[Any, Sequence[Node]]:
    """The tree, and the Nodes that are in it."""
    try:
        if data and data[0] in _SCALAR_HEADS:
            return _unpackb(data, raw=False), ()
        if len(data) <= DEPTH_MAX and _EXTENSION.search(data) is None:
            return _unpackb(data, raw=False), ()  # nothing of ours in it, and too short to be deep
        return _unpack(data)
    except DecodeError as error:
        raise DecodeError(f"{where}: {error}") from None
    except Exception as error:  # what msgpack raises for broken bytes is not one family
        raise DecodeError(
            f"{where}: the {len(data)} bytes are no encoded value ({str(error) or type(error).__name__})"
        ) from error


def _unpack(data: bytes) -> tuple[Any, Sequence[Node]]:
    nodes: list[Node] = []

    def extension(code: int, body: bytes) -> Any:
        reader = _READERS.get(code)
        if reader is not None:
            return reader(body)
        if code not in ext.NESTED:
            raise DecodeError(f"a value of extension {code} was written by a newer version: upgrade this program")
        made = Node(code, body)
        nodes.append(made)
        return made

    if len(data) <= _SURELY_SMALL_BYTES:
        tree = _unpackb(data, ext_hook=extension, raw=False)
        if nodes:
            _expand(nodes, lambda body: _unpackb(body, ext_hook=extension, raw=False))
    else:
        tree = _unpack_large(data, nodes, extension)
    if len(data) > DEPTH_MAX and len(data) - len(data.translate(None, _HEADERS)) > DEPTH_MAX:
        _check_depth(tree)
    if b"\xff" in data and any(mark in data for mark in _TIMESTAMPS):
        _refuse_timestamps(tree)
    return tree, nodes


def _unpack_large(data: bytes, nodes: list[Node], extension: Callable[[int, bytes], Any]) -> Any:
    bounds: dict[str, Any] = {}
    if len(data) > VALUES_MAX:
        count = _Count()
        bounds = {"list_hook": count, "object_hook": count, "max_array_len": VALUES_MAX, "max_map_len": VALUES_MAX}

    def once(body: bytes) -> Any:
        if len(body) > _SURELY_SMALL_BYTES:
            _check_whole(body)
        return _unpackb(body, ext_hook=extension, raw=False, **bounds)

    tree = once(data)
    _expand(nodes, once)
    return tree


def _expand(nodes: list[Node], once: Callable[[bytes], Any]) -> None:
    """Unpacks what is in the nodes, one level after the other; `once` adds those that it finds."""
    done = 0
    for _ in range(DEPTH_MAX + 1 + SCALAR_LEVELS):
        if done == len(nodes):
            return
        level, done = nodes[done:], len(nodes)
        for one in level:
            one.items = _shaped(one.code, once(one.items))
    raise DecodeError(f"nested deeper than {DEPTH_MAX} levels")


def check_values(data: bytes) -> bool:
    """Whether unpack() would take so many values."""
    try:
        _unpack(data)
    except (DecodeError, ValueError):  # msgpack counts the items of one list
        return False
    return True


class _Count:
    """Counts the values of large data as they are made."""

    def __init__(self) -> None:
        self.values = 0

    def __call__(self, made: Any) -> Any:
        self.values += len(made)
        if self.values > VALUES_MAX:
            raise DecodeError(f"VALUES_MAX is {VALUES_MAX}: there are more values in it")
        return made


def _check_whole(data: bytes) -> None:
    """Walks over the bytes without making anything: a header that promises more than there is costs no memory then."""
    walker = msgpack.Unpacker(max_buffer_size=len(data))
    walker.feed(data)
    walker.skip()


def _shaped(code: int, items: Any) -> Any:
    """Raises ValueError when it is not what that extension holds."""
    if type(items) is not list:
        raise ValueError("an extension without its list")
    if code == ext.RECORD:
        if not (len(items) in (1, 2) and type(items[0]) is type(items[-1]) is dict):
            raise ValueError("a record without its fields")
    elif code == ext.MAP:
        if not all(type(pair) is list and len(pair) == 2 for pair in items):
            raise ValueError("a map without its pairs")
    elif code == ext.TAGGED and (len(items) != 2 or type(items[0]) is not str):
        raise ValueError("a tagged value without its name")
    return items


def children_of(value: Any) -> Collection[Any]:
    """What is one level below a container, as encode() counts levels."""
    kind = type(value)
    if kind is list:
        return value  # type: ignore[no-any-return]
    if kind is dict:
        return value.values()  # type: ignore[no-any-return]
    if kind is not Node:
        return ()
    if value.code == ext.MAP:
        return [one for pair in value.items for one in pair]
    if value.code == ext.RECORD:
        return [one for fields in value.items for one in fields.values()]
    return value.items  # type: ignore[no-any-return]


_CONTAINERS = frozenset({list, dict, Node})


def _check_depth(tree: Any) -> None:
    at_level = [tree] if type(tree) in _CONTAINERS else []
    for _ in range(DEPTH_MAX + 1 + SCALAR_LEVELS):
        at_level = [child for one in at_level for child in children_of(one) if type(child) in _CONTAINERS]
        if not at_level:
            return
    raise DecodeError(f"nested deeper than {DEPTH_MAX} levels")


def _refuse_timestamps(tree: Any) -> None:
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if type(one) is msgpack.Timestamp:
            raise DecodeError("a timestamp of msgpack is none of our values: encode a datetime")
        waiting += children_of(one)


def refuse_collisions(keys: Sequence[Hashable]) -> None:
    """Keys of equal hash make a set or dict quadratic: raises Misfit for more than HASH_COLLISIONS_MAX of them."""
    if len(keys) > HASH_COLLISIONS_MAX and len(keys) - len(set(map(hash, keys))) > HASH_COLLISIONS_MAX:
        raise Misfit(f": more than HASH_COLLISIONS_MAX ({HASH_COLLISIONS_MAX}) keys have the same hash", fits=True)


# --- the extensions that hold a text or a few numbers ------------------------------------------------------------------------


def big_int(value: int) -> Any:
    """Python turns no more than 4,300 decimal digits into an int, and slowly."""
    small = value.bit_length() < 3 * DECIMAL_DIGITS_MAX
    return msgpack.ExtType(ext.BIG_INT, (str(value) if small else hex(value)).encode())


def scalar(value: Any) -> Any | None:
    """The extension of a scalar; None for any other type."""
    write = _WRITERS.get(type(value))
    return None if write is None else write(value)


def _read_int(data: bytes) -> int:
    text = data.decode("ascii")
    if text.removeprefix("-").startswith("0x"):
        return int(text, 16)
    if len(text) > DECIMAL_DIGITS_MAX:
        raise ValueError("too many digits")
    return int(text)


def _write_datetime(value: datetime) -> Any:
    zone = value.tzinfo
    if type(zone) is ZoneInfo and zone.key:
        return tagged("zoned", [_write_datetime(value.replace(tzinfo=None)), zone.key])
    if type(zone) is timezone and len(named := zone.__getinitargs__()) == 2:  # type: ignore[attr-defined]
        return tagged("zoned", [_write_datetime(value.replace(tzinfo=None)), named[1], _WRITERS[timedelta](named[0])])
    text = value.isoformat()
    again = datetime.fromisoformat(text).replace(fold=value.fold)
    if again != value:
        raise Misfit(f" is a datetime of a zone ({zone!r}) that can't be journaled: use zoneinfo or UTC", fits=True)
    return msgpack.ExtType(ext.DATETIME, f"{text}|1".encode() if value.fold else text.encode())


def _write_time(value: time) -> Any:
    zone = value.tzinfo
    if type(zone) is ZoneInfo and zone.key:
        return tagged("zoned", [_write_time(value.replace(tzinfo=None)), zone.key])
    if type(zone) is timezone and len(named := zone.__getinitargs__()) == 2:  # type: ignore[attr-defined]
        return tagged("zoned", [_write_time(value.replace(tzinfo=None)), named[1], _WRITERS[timedelta](named[0])])
    if zone is not None and value.utcoffset() is None:
        raise Misfit(f" is a time of a zone ({zone!r}) that can't be journaled: use zoneinfo or UTC", fits=True)
    text = value.isoformat()
    return msgpack.ExtType(ext.TIME, f"{text}|1".encode() if value.fold else text.encode())


def _read_datetime(data: bytes) -> datetime:
    text, _, fold = data.decode("ascii").partition("|")
    value = datetime.fromisoformat(text)
    return value.replace(fold=1) if fold else value


def _read_time(data: bytes) -> time:
    text, _, fold = data.decode("ascii").partition("|")
    value = time.fromisoformat(text)
    return value.replace(fold=1) if fold else value


def _read_timedelta(data: bytes) -> timedelta:
    days, seconds, microseconds = msgpack.unpackb(data)
    if not type(days) is type(seconds) is type(microseconds) is int:
        raise ValueError("a timedelta without its numbers")
    return timedelta(days, seconds, microseconds)


_READERS: dict[int, Callable[[bytes], Any]] = {
    ext.BIG_INT: _read_int,
    ext.DATETIME: _read_datetime,
    ext.DATE: lambda data: date.fromisoformat(data.decode("ascii")),
    ext.TIME: _read_time,
    ext.TIMEDELTA: _read_timedelta,
    ext.UUID: lambda data: UUID(bytes=data),
    ext.DECIMAL: lambda data: Decimal(data.decode("ascii")),
}
_WRITERS: dict[type, Callable[[Any], Any]] = {
    datetime: _write_datetime,
    date: lambda value: msgpack.ExtType(ext.DATE, value.isoformat().encode()),
    time: _write_time,
    timedelta: lambda value: msgpack.ExtType(ext.TIMEDELTA, pack([value.days, value.seconds, value.microseconds])),
    UUID: lambda value: msgpack.ExtType(ext.UUID, value.bytes),
    Decimal: lambda value: msgpack.ExtType(ext.DECIMAL, str(value).encode()),
}
SCALARS = frozenset(_WRITERS)
