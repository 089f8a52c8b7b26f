"""Types that are written with a name of their own, so that any annotation, and none, finds them again: what the standard
library has beside msgpack's types, and those for which the user gave converters."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import ipaddress
import pathlib
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from durable_saga.codec import extension as ext
from durable_saga.codec import loose
from durable_saga.codec.containers import DICTS_BELOW, decoded_items, decoded_pairs, functions_of, items_of, pairs_encoder
from durable_saga.codec.lineage import fill_tree
from durable_saga.codec.misfit import Misfit, found_instead
from durable_saga.codec.plan import Plan, forget, plan_of, shown, tag_of
from durable_saga.codec.wire import Node, node, tagged

Converters = Mapping[
    type, tuple[Callable[[Any], Any], Callable[[Any], Any]] | tuple[Callable[[Any], Any], Callable[[Any], Any], str]
]
CONTAINERS: dict[type, str] = {collections.deque: "deque", **DICTS_BELOW}
_FACTORIES = {one.__name__: one for one in (int, float, str, bytes, bool, list, tuple, set, frozenset, dict)}


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    is_users: bool = False


def _text(kind: type) -> _Named:
    return _Named(kind.__name__, str, kind)


def _bytes_of(value: memoryview) -> bytes:
    if value.format != "B" or value.ndim != 1:
        raise Misfit(" is a memoryview of other things than bytes, which can't be journaled", fits=True)
    return bytes(value)


_TEXTS = (
    ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network, ipaddress.IPv4Interface,
    ipaddress.IPv6Interface, pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath,
)  # fmt: skip
_SIMPLE: dict[type, _Named] = {
    **{kind: _text(kind) for kind in _TEXTS},
    complex: _Named("complex", lambda value: [value.real, value.imag], lambda held: complex(*held)),
    fractions.Fraction: _Named(
        "fraction", lambda value: [value.numerator, value.denominator], lambda held: fractions.Fraction(*held)
    ),
    range: _Named("range", lambda value: [value.start, value.stop, value.step], lambda held: range(*held)),
    bytearray: _Named("bytearray", bytes, bytearray),
    memoryview: _Named("memoryview", _bytes_of, memoryview),
    datetime.timezone: _Named("timezone", lambda value: list(value.__getinitargs__()), lambda held: datetime.timezone(*held)),
    zoneinfo.ZoneInfo: _Named("zone", lambda value: value.key, zoneinfo.ZoneInfo),
}
_converted: dict[type, _Named] = {}


def names_itself(kind: Any) -> bool:
    return bool(own_name(kind))


def own_name(kind: Any) -> str:
    """What its values are written with, "" for a type that does not name itself."""
    if not isinstance(kind, type):
        return ""
    if kind in CONTAINERS:
        return CONTAINERS[kind]
    named = _SIMPLE.get(kind) or _converted.get(kind)
    return "" if named is None else named.name


def register(converters: Converters) -> None:
    """`{T: (to, from)}` or `{T: (to, from, name)}`: `to` makes plain data of a T, `from` makes a T of it. For the whole
    process; what is given last counts. Raises TypeError and ValueError for what is no such mapping."""
    for kind, one in converters.items():
        if not isinstance(kind, type) or not isinstance(one, tuple) or len(one) not in (2, 3):
            raise TypeError(f"converters: give {{type: (to, from)}} or {{type: (to, from, name)}}, not {{{kind!r}: {one!r}}}")
        write, read, name = one if len(one) == 3 else (*one, tag_of(kind))
        if not (callable(write) and callable(read) and isinstance(name, str) and name):
            raise TypeError(f"converters: {kind.__qualname__}: `to` and `from` are functions, a name is a str")
        same = [other for other in _converted if other is kind or tag_of(other) == tag_of(kind)]  # loaded again, perhaps
        if name in loose.builders and not any(_converted[other].name == name for other in same):
            raise ValueError(f"converters: the name {name!r} belongs to another type")
        for other in same:
            loose.builders.pop(_converted.pop(other).name, None)
        _converted[kind] = _Named(name, write, read, is_users=True)
        loose.builders[name] = _builder(_converted[kind])
    if converters:
        forget()


def _builder(one: _Named) -> Callable[[Any], Any]:
    def build(payload: Any) -> Any:
        try:
            return one.read(loose.decode(payload))
        except Misfit:
            raise
        except Exception as error:  # of the user's converter, or bytes that are no such value
            raise Misfit(f": no {one.name} can be made from this: {type(error).__name__}: {error}") from error

    return build


def fill_converted(plan: Plan, kind: type) -> bool:
    one = _converted.get(kind)
    if one is not None:
        fill_tree(plan, kind, _writer(kind, one), _reader(kind, one))
    return one is not None


def fill(plan: Plan, kind: type, arguments: tuple[Any, ...]) -> bool:
    if kind in CONTAINERS:
        _fill_container(plan, kind, arguments)
        return True
    if kind in _SIMPLE:
        fill_tree(plan, kind, _writer(kind, _SIMPLE[kind]), _reader(kind, _SIMPLE[kind]))
        return True
    if kind is pathlib.Path or kind is pathlib.PurePath:
        fill_tree(plan, kind, lambda value, _: _refuse(value), _reader(kind, _text(kind)))
        return True
    for base, plainly in _BASES.items():
        if issubclass(kind, base) and kind is not bool:
            _fill_scalar(plan, kind, base, plainly)
            return True
    return False


def _refuse(value: Any) -> Any:
    raise loose.cannot(type(value))


def _writer(kind: type, one: _Named) -> Callable[[Any, int], Any]:
    def encode(value: Any, depth: int) -> Any:
        try:
            held = one.write(value)
        except Misfit:
            raise
        except Exception as error:  # of the user's converter
            raise Misfit(f": its converter failed: {type(error).__name__}: {error}", fits=True) from error
        before = len(loose.noticed)
        plain = loose.encode(held, depth)
        if len(loose.noticed) > before:
            del loose.noticed[before:]
            raise Misfit(f": the converter of {kind.__qualname__} gives a {type(held).__qualname__}, not plain data", fits=True)
        return tagged(one.name, plain)

    return encode


def _reader(kind: type, one: _Named) -> Callable[[Any], Any]:
    read = _builder(one)

    def decode(raw: Any) -> Any:
        if type(raw) is not Node or raw.code != ext.TAGGED:
            return read(raw)  # plain data, from JSON
        found = loose.decode(raw)
        if not isinstance(found, kind):
            raise found_instead(shown(kind), found)
        return found

    return decode


def _fill_container(plan: Plan, kind: Any, arguments: tuple[Any, ...]) -> None:
    if kind is collections.deque:
        item = plan_of(arguments[0] if arguments else Any)
        encode_list, _ = functions_of(list, (item.annotation,))

        def encode(value: Any, depth: int) -> Any:
            _expect(kind, value)
            return tagged("deque", [value.maxlen, encode_list(list(value), depth)])

        def read(payload: Any) -> Any:
            if type(payload) is not list or type(payload[1]) is not list:
                raise found_instead("deque", loose.decode(payload))
            return collections.deque(decoded_items(payload[1], item.decode), payload[0])

    else:
        key = plan_of(arguments[0] if arguments else Any)
        value_plan = plan_of(arguments[1] if len(arguments) > 1 else Any)
        encode_pairs = pairs_encoder(key, value_plan)

        def encode(value: Any, depth: int) -> Any:
            _expect(kind, value)
            pairs = encode_pairs(value, depth)
            if kind is not collections.defaultdict:
                return tagged(CONTAINERS[kind], node(ext.MAP, pairs))
            name = getattr(value.default_factory, "__name__", None)
            if value.default_factory is not None and _FACTORIES.get(str(name)) is not value.default_factory:
                raise Misfit(f" is a defaultdict of {value.default_factory!r}, which can't be journaled", fits=True)
            return tagged(CONTAINERS[kind], [name, node(ext.MAP, pairs)])

        def read(payload: Any) -> Any:
            if kind is not collections.defaultdict:
                return kind(decoded_pairs(payload, key.decode, value_plan.decode))
            factory = None if payload[0] is None else _FACTORIES[payload[0]]
            return kind(factory, decoded_pairs(payload[1], key.decode, value_plan.decode))

    def decode(raw: Any) -> Any:
        try:
            if type(raw) is Node and raw.code == ext.TAGGED and raw.items[0] == CONTAINERS[kind]:
                return read(raw.items[1])
            if kind is collections.deque and (items := items_of(raw)) is not None:
                return read([None, items])
            plain = [None, raw] if kind is collections.defaultdict else raw
            return read(plain)
        except Misfit:
            raise
        except Exception as error:  # bytes that are no such value
            raise Misfit(f": no {kind.__qualname__} can be made from this: {error}") from error

    plan.set(encode, decode, lambda one: one is kind)


def _expect(kind: type, value: Any) -> None:
    if type(value) is not kind:
        raise found_instead(kind.__qualname__, value)


_BASES: dict[type, Callable[[Any], Any]] = {
    str: str.__str__, int: int.__int__, float: float.__float__, bytes: lambda value: b"".join((value,)),
    decimal.Decimal: decimal.Decimal,
}  # fmt: skip


def _fill_scalar(plan: Plan, kind: Any, base: type, plainly: Callable[[Any], Any]) -> None:
    """A class derived from str, int, float or bytes that holds nothing else."""
    held = plan_of(base)

    def encode(value: Any, depth: int) -> Any:
        plain = plainly(value)
        try:
            again = kind(plain)
            same = type(again) is kind and again == value and _state_of(again) == _state_of(value)
        except Exception:  # a class with ideas of its own about being made
            same = False
        if not same:
            raise loose.cannot(kind)
        return held.encode(plain, depth)

    def decode(raw: Any) -> Any:
        plain = held.decode(raw)
        try:
            return kind(plain)
        except Exception as error:  # the same
            raise Misfit(f": no {kind.__qualname__} can be made from this: {error}") from error

    fill_tree(plan, kind, encode, decode)


def _state_of(value: Any) -> Any:
    return getattr(value, "__dict__", None)


def _build_zoned(payload: Any) -> Any:
    try:
        value, name, *offset = payload
        return value.replace(tzinfo=datetime.timezone(offset[0], name) if offset else zoneinfo.ZoneInfo(name))
    except Exception as error:  # an unknown zone, or bytes that are no such value
        raise Misfit(f": no time of a zone can be made from this: {error}") from error


def _container_builder(kind: Any) -> Callable[[Any], Any]:
    def build(payload: Any) -> Any:
        raw = Node(ext.TAGGED, [CONTAINERS[kind], payload])
        return plan_of(kind).decode(raw)

    return build


loose.builders["zoned"] = _build_zoned
loose.builders.update({one.name: _builder(one) for one in _SIMPLE.values()})
loose.builders.update({name: _container_builder(kind) for kind, name in CONTAINERS.items()})
loose.tell_themselves.append(names_itself)
