"""Plans of lists, tuples, sets, dicts and their kin in collections."""

from __future__ import annotations

import collections
import typing
from collections.abc import Callable
from typing import Any

import msgpack

from durable_saga.codec import extension as ext
from durable_saga.codec import loose
from durable_saga.codec.misfit import DEPTH_MAX, Misfit, found_instead, too_deep
from durable_saga.codec.natives import BARE
from durable_saga.codec.plan import Decode, Encode, Plan, plan_of
from durable_saga.codec.wire import Node, node, pack, refuse_collisions

KINDS = frozenset({list, tuple, set, frozenset, dict})
DICTS_BELOW: dict[type, str] = {
    collections.OrderedDict: "ordered dict", collections.defaultdict: "default dict", collections.Counter: "counter",
}  # fmt: skip
"""With the name that stands in the journal."""
_SET_CODES = {set: ext.SET, frozenset: ext.FROZENSET}
_UNCHANGED = frozenset({str, bytes, bool, float})


def fill(plan: Plan, kind: type, arguments: tuple[Any, ...]) -> None:
    if kind is tuple and arguments and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        _fill_fixed_tuple(plan, arguments)
        return
    encode, decode = functions_of(kind, arguments)
    if kind is dict:
        _fill_dict(plan, encode, decode, arguments)
    else:
        plan.set(encode, decode, lambda one: one is kind)


def _fill_dict(plan: Plan, encode_exact: Encode, decode_exact: Decode, arguments: tuple[Any, ...]) -> None:
    """The dicts of collections go for a dict, and stay what they are."""

    def plan_below(kind: Any) -> Plan:
        return plan_of(kind if not arguments else kind[arguments[0]] if kind is collections.Counter else kind[arguments])

    def encode(value: Any, depth: int) -> Any:
        if type(value) in DICTS_BELOW:
            return plan_below(type(value)).encode(value, depth)
        return encode_exact(value, depth)

    def decode(raw: Any) -> Any:
        if type(raw) is Node and raw.code == ext.TAGGED:
            for kind, name in DICTS_BELOW.items():
                if raw.items[0] == name:
                    return plan_below(kind).decode(raw)
        return decode_exact(raw)

    plan.set(encode, decode, lambda one: one is dict or one in DICTS_BELOW)


def functions_of(kind: type, arguments: tuple[Any, ...]) -> tuple[Encode, Decode]:
    if kind is dict:
        key, item = (plan_of(one) for one in (arguments if len(arguments) == 2 else (Any, Any)))
        return _dict_encoder(key, item), _dict_decoder(key, item)
    item = plan_of(arguments[0] if arguments else Any)
    if kind in _SET_CODES:
        return _set_encoder(kind, item), _set_decoder(kind, item)
    return (_list_encoder if kind is list else _tuple_encoder)(item), _sequence_decoder(kind, item)


def _items_encoder(item: Plan) -> Callable[[Any, int], list[Any]]:
    encode_item, unchanged = item.encode, item.annotation if item.annotation in BARE & _UNCHANGED else None

    def encode(value: Any, depth: int) -> list[Any]:
        if depth > DEPTH_MAX:
            raise too_deep()
        if unchanged is not None and len(value) > 1 and set(map(type, value)) == {unchanged}:
            return list(value)
        items: Any = iter(value)
        below = depth + 1
        try:
            return [encode_item(one, below) for one in items]
        except Misfit as misfit:
            raise misfit.at(f"[{len(value) - items.__length_hint__() - 1}]") from None

    return encode


def _list_encoder(item: Plan) -> Encode:
    items = _items_encoder(item)

    def encode(value: Any, depth: int) -> Any:
        if type(value) is not list:
            raise found_instead("list", value)
        return items(value, depth)

    return encode


def _tuple_encoder(item: Plan) -> Encode:
    items = _items_encoder(item)

    def encode(value: Any, depth: int) -> Any:
        if type(value) is not tuple:
            raise found_instead("tuple", value)
        return node(ext.TUPLE, items(value, depth))

    return encode


def _sequence_decoder(kind: type, item: Plan) -> Decode:
    """A list is read as a tuple or set too, and a tuple as a list: that is how other programs and old journals have them."""
    decode_item, unchanged = item.decode, item.annotation if item.annotation in BARE else None
    name = kind.__qualname__

    def decode(raw: Any) -> Any:
        items = items_of(raw)
        if items is None:
            raise found_instead(name, loose.decode(raw))
        if unchanged is not None and len(items) > 1 and set(map(type, items)) == {unchanged}:
            return items if kind is list else kind(items)
        made = decoded_items(items, decode_item)
        return made if kind is list else kind(made)

    return decode


def items_of(raw: Any) -> Any:
    """The raw items of a list, tuple or set; None for anything else."""
    if type(raw) is list:
        return raw
    return raw.items if type(raw) is Node and raw.code in (ext.TUPLE, ext.SET, ext.FROZENSET) else None


def decoded_items(items: list[Any], decode_item: Decode) -> list[Any]:
    rest: Any = iter(items)
    try:
        return [decode_item(one) for one in rest]
    except Misfit as misfit:
        raise misfit.at(f"[{len(items) - rest.__length_hint__() - 1}]") from None


def _unpacked(annotation: Any) -> tuple[Any, ...] | None:
    """What stands in `*tuple[…]`; None for another annotation."""
    if typing.get_origin(annotation) is typing.Unpack:
        annotation = typing.get_args(annotation)[0]
    elif not getattr(annotation, "__unpacked__", False):
        return None
    return typing.get_args(annotation) if typing.get_origin(annotation) is tuple else None


def _fill_fixed_tuple(plan: Plan, arguments: tuple[Any, ...]) -> None:
    before: list[Plan] = []
    rest: Plan | None = None
    after: list[Plan] = []

    def add(one: Any) -> None:
        nonlocal rest
        inner = _unpacked(one)
        if inner is None:
            (before if rest is None else after).append(plan_of(one))
        elif len(inner) == 2 and inner[1] is Ellipsis:
            rest = plan_of(inner[0])
        else:
            for each in inner:
                add(each)

    for one in () if arguments == ((),) else arguments:
        add(one)

    def plans_for(length: int) -> list[Plan]:
        return before if rest is None else [*before, *[rest] * (length - len(before) - len(after)), *after]

    def encode(value: Any, depth: int) -> Any:
        if type(value) is not tuple:
            raise found_instead("tuple", value)
        return node(ext.TUPLE, encoded_each(value, plans_for(len(value)), depth))

    def decode(raw: Any) -> Any:
        items = items_of(raw)
        if items is None:
            raise found_instead("tuple", loose.decode(raw))
        return tuple(decoded_each(items, plans_for(len(items))))

    plan.set(encode, decode, lambda one: one is tuple)


def encoded_each(value: Any, plans: list[Plan], depth: int) -> list[Any]:
    """Each item by its own plan."""
    if depth > DEPTH_MAX:
        raise too_deep()
    _check_count(value, plans)
    made: list[Any] = []
    try:
        for one, plan in zip(value, plans, strict=True):
            made.append(plan.encode(one, depth + 1))
    except Misfit as misfit:
        raise misfit.at(f"[{len(made)}]") from None
    return made


def decoded_each(items: list[Any], plans: list[Plan]) -> list[Any]:
    _check_count(items, plans)
    made: list[Any] = []
    try:
        for one, plan in zip(items, plans, strict=True):
            made.append(plan.decode(one))
    except Misfit as misfit:
        raise misfit.at(f"[{len(made)}]") from None
    return made


def _check_count(items: Any, plans: list[Plan]) -> None:
    if len(items) != len(plans):
        raise Misfit(f": expected {len(plans)} items, found {len(items)}")


def _set_encoder(kind: Any, item: Plan) -> Encode:
    code, encode_item = _SET_CODES[kind], item.encode

    def encode(value: Any, depth: int) -> Any:
        if type(value) is not kind:
            raise found_instead(kind.__qualname__, value)
        if depth > DEPTH_MAX:
            raise too_deep()
        refuse_collisions(list(value))
        members, one = [], None
        try:
            for one in value:
                members.append(pack(encode_item(one, depth + 1)))
        except Misfit as misfit:
            raise misfit.at(f" member {one!r}") from None
        head = msgpack.Packer().pack_array_header(len(members))
        return msgpack.ExtType(code, head + b"".join(sorted(members)))

    return encode


def _set_decoder(kind: Callable[..., Any], item: Plan) -> Decode:
    sequence = _sequence_decoder(list, item)

    def decode(raw: Any) -> Any:
        members = loose.hashable(sequence(raw))
        made = kind(members)
        if len(made) != len(members) and type(raw) is Node:
            raise Misfit(": two members of a set are the same")
        return made

    return decode


def _dict_encoder(key: Plan, item: Plan) -> Encode:
    pairs = pairs_encoder(key, item)
    encode_item, texts = item.encode, key.takes(str)
    surely = key.annotation is str or key.encode is loose.encode

    def encode(value: Any, depth: int) -> Any:
        if type(value) is not dict:
            raise found_instead("dict", value)
        if not texts or (value and set(map(type, value)) != {str}):
            return node(ext.MAP, pairs(value, depth)) if value else {}
        if depth > DEPTH_MAX:
            raise too_deep()
        if not surely and any(type(key.encode(name, depth)) is not str for name in value):
            return node(ext.MAP, pairs(value, depth))
        below, name, made = depth + 1, None, {}
        try:
            for name, one in value.items():
                made[name] = encode_item(one, below)
        except Misfit as misfit:
            raise misfit.at(f"[{name!r}]") from None
        return made

    return encode


def pairs_encoder(key: Plan, item: Plan) -> Callable[[Any, int], list[Any]]:
    def encode(value: Any, depth: int) -> list[Any]:
        if depth > DEPTH_MAX:
            raise too_deep()
        refuse_collisions(list(value))
        made, name, where = [], None, ""
        try:
            for name, one in value.items():
                where = " key "
                plain = key.encode(name, depth + 1)
                where = ""
                made.append([plain, item.encode(one, depth + 1)])
        except Misfit as misfit:
            raise misfit.at(f"{where}{name!r}" if where else f"[{name!r}]") from None
        return made

    return encode


def _dict_decoder(key: Plan, item: Plan) -> Decode:
    decode_item, decode_key, texts = item.decode, key.decode, key.annotation is str or key.decode is loose.decode

    def decode(raw: Any) -> Any:
        if not texts or type(raw) is not dict:
            return decoded_pairs(raw, decode_key, decode_item)
        name, made = None, {}
        try:
            for name, one in raw.items():
                made[name] = decode_item(one)
        except Misfit as misfit:
            raise misfit.at(f"[{name!r}]") from None
        return made

    return decode


def decoded_pairs(raw: Any, decode_key: Decode, decode_item: Decode) -> dict[Any, Any]:
    if type(raw) is dict:
        pairs: Any = list(raw.items())
    elif type(raw) is Node and raw.code == ext.MAP:
        pairs = raw.items
    else:
        raise found_instead("dict", loose.decode(raw))
    key, where = None, ""
    keys: list[Any] = []
    items: list[Any] = []
    try:
        for key, one in pairs:
            where = " key"
            keys.append(decode_key(key))
            where = ""
            items.append(decode_item(one))
    except Misfit as misfit:
        raise misfit.at(where or f"[{keys[-1]!r}]") from None
    made = dict(zip(loose.hashable(keys), items, strict=True))
    if len(made) != len(pairs):
        raise Misfit(": two keys of a dict are the same")
    return made


loose.tell_themselves.append(KINDS.__contains__)
