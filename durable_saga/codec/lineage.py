"""A class and what is derived from it: a value of a subclass is written with its name and found again below its base."""

from __future__ import annotations

from typing import Any

from durable_saga.codec import extension as ext
from durable_saga.codec.misfit import Misfit, found_instead
from durable_saga.codec.plan import Decode, Encode, Plan, class_named, plan_of, tag_of
from durable_saga.codec.variables import specialised
from durable_saga.codec.wire import Node, tagged


def fill_tree(plan: Plan, kind: type, encode_exact: Encode, decode_exact: Decode) -> None:
    own, is_protocol = tag_of(kind), getattr(kind, "_is_protocol", False)

    def encode(value: Any, depth: int) -> Any:
        found = type(value)
        if found is kind or (is_protocol and kind not in found.__mro__):
            return encode_exact(value, depth)
        if not is_below(found, kind):
            raise found_instead(kind.__qualname__, value)
        return tagged(tag_of(found), plan_of(specialised(found, plan.annotation)).encode(value, depth + 1))

    def decode(raw: Any) -> Any:
        if type(raw) is not Node or raw.code != ext.TAGGED:
            return decode_exact(raw)
        name, payload = raw.items
        if name == own:
            return decode_exact(payload)
        if (found := descendant(kind, name)) is None:
            return decode_exact(raw)
        return decode_exact(payload) if found is kind else plan_of(specialised(found, plan.annotation)).decode(payload)

    plan.set(encode, decode, (lambda _: True) if is_protocol else (lambda one: is_below(one, kind)))


def is_below(one: type, kind: type) -> bool:
    try:
        return issubclass(one, kind)
    except TypeError:  # a Protocol with data members
        return False


def descendant(kind: type, tag: str) -> type | None:
    """The class of that tag among the class itself and all below it: by its full name, else by the name in its module.
    Raises Misfit when several have it."""
    found: dict[type, None] = {kind: None}
    waiting = [kind]
    while waiting:
        below: list[type] = type.__subclasses__(waiting.pop())
        for one in below:
            if one not in found:
                found[one] = None
                waiting.append(one)
    exact = [one for one in found if tag_of(one) == tag]
    if exact:
        return exact[-1]  # a module that was loaded again: its newest
    alike = [one for one in found if one.__qualname__ == class_named(tag)]
    if len(alike) > 1:
        raise Misfit(f": there are {len(alike)} classes {class_named(tag)} below {kind.__qualname__}")
    return alike[0] if alike else None
