"""Plans of unions and literals. What two members would write alike is tagged with the member's name."""

from __future__ import annotations

import typing
from collections.abc import Callable
from enum import Enum
from typing import Any

from durable_saga.codec import extension as ext
from durable_saga.codec import loose
from durable_saga.codec.exact import is_exact, writes
from durable_saga.codec.misfit import DEPTH_MAX, Misfit, found_instead, too_deep
from durable_saga.codec.named import own_name
from durable_saga.codec.natives import BARE
from durable_saga.codec.plan import Decode, Encode, Plan, class_named, plan_of, shown, tag_of
from durable_saga.codec.shapes import shapes_of
from durable_saga.codec.wire import Node, tagged

_RAW_KINDS = {ext.TUPLE: tuple, ext.SET: set, ext.FROZENSET: frozenset, ext.MAP: dict}


def fill_union(plan: Plan, arguments: tuple[Any, ...]) -> None:
    members = [plan_of(one) for one in arguments]
    if len(members) == 2 and type(None) in arguments:
        _fill_optional(plan, members[0] if arguments[1] is type(None) else members[1])
        return
    tags = {id(one): one.name for one in members if _is_ambiguous(one.annotation, arguments)}

    def takes(kind: type) -> bool:
        return any(one.takes(kind) for one in members)

    plan.set(_encoder(plan.annotation, members, tags), _decoder(plan.annotation, members), takes)


def _is_ambiguous(annotation: Any, arguments: tuple[Any, ...]) -> bool:
    """Bare types that msgpack knows are never tagged: what is not tagged is theirs."""
    if annotation is type(None) or annotation in BARE or annotation in (list, dict, tuple, set, frozenset):
        return False
    own = shapes_of(annotation)
    others = [shapes_of(one) for one in arguments if one is not annotation]
    return any("*" in own or "*" in one or own & one for one in others)


def _fill_optional(plan: Plan, member: Plan) -> None:
    encode_member, decode_member = member.encode, member.decode

    def encode(value: Any, depth: int) -> Any:
        return None if value is None else encode_member(value, depth)

    def decode(raw: Any) -> Any:
        return None if raw is None else decode_member(raw)

    plan.set(encode, decode, lambda one: one is type(None) or member.takes(one))


def _encoder(annotation: Any, members: list[Plan], tags: dict[int, str]) -> Encode:
    known: dict[type, list[Encode]] = {}

    def candidates(kind: type) -> list[Encode]:
        taking = [one for one in members if one.takes(kind)]
        taking.sort(key=lambda one: one.annotation is not kind)
        known[kind] = found = [_tagging(one.encode, tags.get(id(one))) for one in taking]
        return found

    def encode(value: Any, depth: int) -> Any:
        kind = type(value)
        found = known.get(kind)
        if found is None:
            found = candidates(kind)
        if len(found) == 1:
            return found[0](value, depth)
        misfits = []
        for one in found:
            try:
                return one(value, depth)
            except Misfit as misfit:
                misfits.append(misfit)
        raise next((one for one in misfits if one.fits), None) or found_instead(shown(annotation), value)

    return encode


def _tagging(encode_member: Encode, tag: str | None) -> Encode:
    if tag is None:
        return encode_member

    def encode(value: Any, depth: int) -> Any:
        if depth > DEPTH_MAX:
            raise too_deep()
        return tagged(tag, encode_member(value, depth + 1))

    return encode


def _decoder(annotation: Any, members: list[Plan]) -> Decode:
    by_name = {one.name: one.decode for one in members}
    by_class: dict[str, Decode] = {}
    for one in members:
        name = class_named(one.name)
        by_class[name] = _several(name) if name in by_class else one.decode
    bare: dict[type, Callable[[Any], Any]] = {
        one.annotation: one.decode for one in members
        if one.annotation in BARE or one.annotation in (list, dict, tuple, set, frozenset, type(None))
    }  # fmt: skip

    def decode(raw: Any) -> Any:
        kind = type(raw)
        if kind is Node:
            if raw.code == ext.TAGGED:
                name, payload = raw.items
                chosen = by_name.get(name) or by_class.get(class_named(name) or name)
                if (own := owners.get(name)) is not None and not (type(payload) is Node and payload.code == ext.TAGGED):
                    return own(raw)
                if chosen is not None:
                    return chosen(payload)
            kind = _RAW_KINDS.get(raw.code, Node)
        if (chosen := bare.get(kind)) is not None and not is_exact():
            return chosen(raw)
        return _first(turns.get(kind) or turn_of(kind), raw, chosen, annotation)

    names = [own_name(typing.get_origin(one.annotation) or one.annotation) for one in members]
    owners = {name: one.decode for name, one in zip(reversed(names), reversed(members), strict=True) if name}
    in_turn = [one for _, one in sorted(zip(names, members, strict=True), key=lambda pair: bool(pair[0]))]
    turns: dict[type, list[Plan]] = {}

    def turn_of(kind: type) -> list[Plan]:
        turns[kind] = found = sorted(in_turn, key=lambda one: kind.__qualname__ not in shapes_of(one.annotation))
        return found

    return decode


def _first(members: list[Plan], raw: Any, bare: Decode | None, annotation: Any) -> Any:
    """The first member that it fits: how unions were read before they were tagged. Those that write what stands there come
    first, since a list is read as a tuple too. Types that write their own name make something of plain data too, so
    they come last. Of a message whose sender did not know the union it is the one that would write the same."""
    reasons, found, exactly = [], [], is_exact()
    for one in members:
        try:
            made = one.decode(raw)
        except Misfit as misfit:
            reasons.append(str(misfit).removeprefix(": "))
            continue
        if not exactly or writes(made, raw):
            return made
        found.append(made)
    if bare is not None:
        return bare(raw)
    if found:
        return found[0]
    raise Misfit(f": fits none of {shown(annotation)}: {'; '.join(reasons)}"[:2_000])


def _several(name: str) -> Decode:
    def decode(raw: Any) -> Any:
        raise Misfit(f": several members of the union are named {name}")

    return decode


def fill_literal(plan: Plan, arguments: tuple[Any, ...]) -> None:
    plans = [(one, plan_of(type(one))) for one in arguments]
    written = [plan.encode(one, 0) for one, plan in plans]
    tags = [_literal_tag(place, arguments, written) for place in range(len(arguments))]
    expected = f"one of {', '.join(repr(one) for one in arguments)}"

    def encode(value: Any, depth: int) -> Any:
        for (one, plan), tag in zip(plans, tags, strict=True):
            if type(value) is type(one) and value == one:
                return plan.encode(value, depth) if tag is None else tagged(tag, plan.encode(value, depth + 1))
        raise Misfit(f": expected {expected}, found {value!r:.100}")

    by_tag = {tag: one for tag, one in zip(tags, arguments, strict=True) if tag is not None}

    def decode(raw: Any) -> Any:
        if type(raw) is Node and raw.code == ext.TAGGED and raw.items[0] in by_tag:
            return by_tag[raw.items[0]]
        for one, tag in zip(arguments, tags, strict=True):
            if tag is None and type(raw) is type(one) and raw == one:
                return one
        for one, plan in plans:
            try:
                found = plan.decode(raw)
            except Misfit:
                continue
            if type(found) is type(one) and found == one:
                return one
        for one, _ in plans:  # True was written for Literal[1] once
            if not isinstance(raw, Node) and raw == one:
                return raw
        raise Misfit(f": {loose.decode(raw)!r:.100} is none of {arguments}")

    plan.set(encode, decode, lambda kind: any(kind is type(one) for one in arguments))


def _literal_tag(place: int, arguments: tuple[Any, ...], written: list[Any]) -> str | None:
    """One that is written as an earlier one is (the value of an Enum's member behind that member) has a tag, and so what has
    none is read as it always was."""
    if not any(type(one) is type(written[place]) and one == written[place] for one in written[:place]):
        return None
    value = arguments[place]
    return f"{tag_of(type(value))}.{value.name}" if isinstance(value, Enum) else f"{tag_of(type(value))}={value!r}"
