"""A class that says nothing of its fields."""

from __future__ import annotations

from typing import Any

import msgpack

from durable_saga.codec import adapter, loose
from durable_saga.codec.lineage import fill_tree
from durable_saga.codec.misfit import Misfit, name_of
from durable_saga.codec.plan import Plan


def fill(plan: Plan, kind: type) -> None:
    """A class that says nothing of its fields: its subclasses may be journaled, and under a Protocol plain values."""
    if adapter.fill(plan, kind):
        return

    def encode_exact(value: Any, depth: int) -> Any:
        if type(value) is not kind and (isinstance(value, msgpack.ExtType) or getattr(kind, "_is_protocol", False)):
            before = len(loose.noticed)
            plain = loose.encode(value, depth)
            if len(loose.noticed) == before:
                return plain
            del loose.noticed[before:]
        raise loose.cannot(type(value))

    def decode_exact(raw: Any) -> Any:
        found = loose.decode(raw)
        if getattr(kind, "_is_protocol", False) or isinstance(found, kind):
            return found
        raise Misfit(f": a value of {name_of(kind)} can't be made from {name_of(type(found))}")

    fill_tree(plan, kind, encode_exact, decode_exact)
