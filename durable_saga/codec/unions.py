"""Plans of unions and literals. What two members would write alike is tagged with the member's name."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

from durable_saga.codec import extension as ext
from durable_saga.codec import loose
from durable_saga.codec.misfit import DEPTH_MAX, Misfit, found_instead, too_deep
from durable_saga.codec.named import names_itself
from durable_saga.codec.natives import BARE
from durable_saga.codec.plan import Decode, Encode, Plan, class_named, plan_of, shown
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
                if chosen is not None:
                    return chosen(payload)
            kind = _RAW_KINDS.get(raw.code, Node)
        if (chosen := bare.get(kind)) is not None:
            return chosen(raw)
        return _first(raw)

    in_turn = sorted(members, key=lambda one: names_itself(typing.get_origin(one.annotation) or one.annotation))

    def _first(raw: Any) -> Any:
        """The first member that it fits: how unions were read before they were tagged. Types that write their own name make
        something of plain data too, so they come last."""
        reasons = []
        for one in in_turn:
            try:
                return one.decode(raw)
            except Misfit as misfit:
                reasons.append(str(misfit).removeprefix(": "))
        raise Misfit(f": fits none of {shown(annotation)}: {'; '.join(reasons)}"[:2_000])

    return decode


def _several(name: str) -> Decode:
    def decode(raw: Any) -> Any:
        raise Misfit(f": several members of the union are named {name}")

    return decode


def fill_literal(plan: Plan, arguments: tuple[Any, ...]) -> None:
    plans = [(one, plan_of(type(one))) for one in arguments]
    expected = f"one of {', '.join(repr(one) for one in arguments)}"

    def encode(value: Any, depth: int) -> Any:
        for one, plan in plans:
            if type(value) is type(one) and value == one:
                return plan.encode(value, depth)
        raise Misfit(f": expected {expected}, found {value!r:.100}")

    def decode(raw: Any) -> Any:
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
