"""Plans of types that only pydantic knows: a TypeAdapter writes and reads them. pydantic is there when such a type is."""

from __future__ import annotations

import datetime
import sys
from typing import Any

from durable_saga.codec import extension as ext
from durable_saga.codec import loose
from durable_saga.codec.lineage import is_below
from durable_saga.codec.misfit import Misfit, found_instead
from durable_saga.codec.plan import Plan, plan_of, shown, tag_of
from durable_saga.codec.wire import Node

_MOMENTS = (datetime.datetime, datetime.date, datetime.time, datetime.timedelta)
"""Values of pydantic's own types for them (AwareDatetime, PastDate, …), which keep their zone and fold only as they are."""


def fill(plan: Plan, kind: type) -> bool:
    """False where pydantic is not loaded, or does not know the class."""
    if "pydantic" not in sys.modules or getattr(kind, "_is_protocol", False):
        return False
    import pydantic

    if issubclass(kind, pydantic.Secret | pydantic.SecretStr | pydantic.SecretBytes):
        _fill_secret(plan, kind)
        return True
    try:
        adapter = pydantic.TypeAdapter(plan.annotation)
    except Exception:  # a class without a schema, or one whose package is not installed
        return False
    own = tag_of(kind)

    def encode(value: Any, depth: int) -> Any:
        plain: Any = None
        try:
            if type(value) in _MOMENTS and adapter.validate_python(value) is value:
                return loose.encode(value, depth)
            plain = adapter.dump_python(value, mode="json", round_trip=True, warnings="error")
            again = adapter.validate_python(plain)
            same = type(again) is type(value) and bool(again == value)
        except Exception:  # of the type's own serializer or validator
            same = False
        if not same:
            raise loose.cannot(type(value)) if is_below(type(value), kind) else found_instead(shown(kind), value)
        return loose.encode(plain, depth)

    def decode(raw: Any) -> Any:
        if type(raw) is Node and raw.code == ext.TAGGED and raw.items[0] == own:
            raw = raw.items[1]
        try:
            plain = loose.decode(raw)
            if type(plain) in _MOMENTS:
                return plain  # it was right when it was written: a FutureDatetime is past by now
            return adapter.validate_python(plain)
        except Exception as error:  # a ValidationError, or what the type's own validator raises
            raise Misfit(f": {error}") from None

    plan.set(encode, decode, lambda _: True)
    return True


def _fill_secret(plan: Plan, kind: Any) -> None:
    """A secret is journaled as it is: without it the step could not run again."""
    import pydantic

    own = tag_of(kind)
    simple = {pydantic.SecretStr: str, pydantic.SecretBytes: bytes}
    held = plan_of(simple.get(kind) or next(iter(getattr(plan.annotation, "__args__", ())), Any))

    def encode(value: Any, depth: int) -> Any:
        if type(value) is not kind:
            raise found_instead(shown(kind), value)
        return held.encode(value.get_secret_value(), depth)

    def decode(raw: Any) -> Any:
        if type(raw) is Node and raw.code == ext.TAGGED and raw.items[0] == own:
            raw = raw.items[1]
        return kind(held.decode(raw))

    plan.set(encode, decode, lambda one: one is kind)
