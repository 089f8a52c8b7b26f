"""Plans of models with fields: dataclasses, attrs, msgspec, named tuples, typed dicts. Enums and pydantic have their own."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from durable_saga.codec import enums, loose, pydantic_models
from durable_saga.codec import extension as ext
from durable_saga.codec.containers import decoded_each, encoded_each, items_of
from durable_saga.codec.lineage import fill_tree
from durable_saga.codec.misfit import DEPTH_MAX, Misfit, found_instead, too_deep
from durable_saga.codec.plan import Decode, Encode, Plan, plan_of
from durable_saga.codec.variables import given_to, substituted
from durable_saga.codec.wire import Node, node


@dataclass(frozen=True, slots=True)
class Field:
    """`key` stands in the journal. `made`: __init__ takes it."""

    name: str
    key: str
    plan: Plan
    made: bool = True


def fill(plan: Plan, kind: type, arguments: tuple[Any, ...]) -> bool:
    """False for a class that is none of these."""
    if issubclass(kind, Enum):
        enums.fill(plan, kind)
    elif typing.is_typeddict(kind):
        _fill_typed_dict(plan, kind, arguments)
    elif pydantic_models.is_model(kind):
        pydantic_models.fill(plan, kind)
    elif issubclass(kind, tuple) and hasattr(kind, "_fields"):
        _fill_named_tuple(plan, kind, arguments)
    elif (found := _fields_of(kind, arguments)) is not None:
        encode, decode = _functions_of(kind, *found)
        fill_tree(plan, kind, encode, decode)
    else:
        return False
    return True


def hints_of(kind: type, arguments: tuple[Any, ...] = ()) -> dict[str, Any]:
    """Its annotations as objects, by name. Raises Misfit for one that can't be looked up."""
    try:
        try:
            hints = typing.get_type_hints(kind, include_extras=True)
        except NameError:  # a class of a function, which may still name itself
            own = {name: one for base in reversed(kind.__mro__) for name, one in vars(base).items()}
            hints = typing.get_type_hints(kind, localns={**own, kind.__name__: kind}, include_extras=True)
    except Exception as error:  # whatever an annotation does when it is evaluated
        raise Misfit(
            f": an annotation of {kind.__module__}.{kind.__qualname__} can't be looked up ({error}); name a class of the"
            " module's top level, imported outside `if TYPE_CHECKING`",
            fits=True,
        ) from error
    given = given_to(kind, arguments)
    return {name: substituted(one, given) for name, one in hints.items()}


def _fields_of(kind: Any, arguments: tuple[Any, ...]) -> tuple[list[Field], bool, bool] | None:
    """Its fields; whether making one does more than setting them; whether it can be made by its __init__ at all."""
    if hasattr(kind, "__dataclass_fields__"):
        hints, declared = hints_of(kind, arguments), dataclasses.fields(kind)
        fields = [Field(one.name, one.name, plan_of(hints.get(one.name, Any)), one.init) for one in declared]
        by_init = kind.__dataclass_params__.init and not _has_inputs(kind) and not hasattr(kind, "__pydantic_validator__")
        return fields, _does_more(kind, fields, "__post_init__") or not by_init, by_init
    if (attributes := getattr(kind, "__attrs_attrs__", None)) is not None:
        hints = hints_of(kind, arguments)
        fields = [Field(a.name, a.alias or a.name, plan_of(hints.get(a.name, Any)), a.init) for a in attributes]
        more = any(a.converter is not None for a in attributes) or hasattr(kind, "__attrs_pre_init__")
        return fields, more or _does_more(kind, fields, "__attrs_post_init__"), True
    if (names := getattr(kind, "__struct_fields__", None)) is not None:  # msgspec
        hints = hints_of(kind, arguments)
        fields = [Field(name, name, plan_of(hints.get(name, Any))) for name in names]
        return fields, _does_more(kind, fields, "__post_init__"), True
    return None


def _has_inputs(kind: Any) -> bool:
    """Whether its __init__ needs what no field keeps: an InitVar without a default."""
    if "__init__" not in kind.__dict__ and not hasattr(kind, "__post_init__"):
        return False
    names = {one.name for one in dataclasses.fields(kind)}
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    return any(one.name not in names and one.default is one.empty for one in parameters)


def _does_more(kind: type, fields: list[Field], hook: str) -> bool:
    return hasattr(kind, hook) or not all(one.made for one in fields)


def _functions_of(kind: Any, fields: list[Field], does_more: bool, by_init: bool) -> tuple[Encode, Decode]:
    made = [one for one in fields if one.made]
    rest = [one for one in fields if not one.made]
    own = encoder_of(made)
    others = encoder_of(rest)
    make = kind if by_init else _without_init(kind)
    keys = {one.key: one for one in fields}
    names = {one.name for one in fields}
    keeps_extras = hasattr(kind, "__pydantic_validator__")
    put = _setter(kind)

    def encode(value: Any, depth: int) -> Any:
        plain = own(value, depth)
        if not does_more:
            return plain
        details = {"rest": others(value, depth)} if rest else {}
        if keeps_extras and (extra := {name: one for name, one in vars(value).items() if name not in names}):
            details["extra"] = {name: pydantic_models.exact(one, f".{name}", depth + 1) for name, one in extra.items()}
        return node(ext.RECORD, [plain, details] if details else [plain])

    read = fields_decoder(made)
    read_rest = fields_decoder(rest)

    def decode(raw: Any) -> Any:
        if type(raw) is dict:
            return build(make, read(raw), kind)
        if type(raw) is not Node or raw.code != ext.RECORD:
            raise found_fields(kind, raw)
        given = read(raw.items[0])
        found = build(make, given, kind)
        details = raw.items[1] if len(raw.items) > 1 else {}
        later = read_rest(details.get("rest") or {})
        for key, item in (*given.items(), *later.items()):
            if key in keys:
                put(found, keys[key].name, item)
        if keeps_extras:
            for name, item in (details.get("extra") or {}).items():
                put(found, name, loose.decode(item))
        return found

    return encode, decode


def _setter(kind: Any) -> Callable[[Any, str, Any], None]:
    """Sets a field past what the class says of it, such as frozen."""
    if hasattr(kind, "__struct_fields__"):
        return typing.cast(Callable[[Any, str, Any], None], sys.modules["msgspec"].structs.force_setattr)
    return object.__setattr__


def _without_init(kind: Any) -> Callable[..., Any]:
    """For a class whose __init__ asks for more than its fields."""

    def make(**given: Any) -> Any:
        made = object.__new__(kind)
        for name, item in given.items():
            object.__setattr__(made, name, item)
        return made

    return make


def build(make: Callable[..., Any], given: Mapping[str, Any], kind: type) -> Any:
    try:
        return make(**given)
    except Exception as error:  # its own __init__, __post_init__ or validators
        reason = str(error) if isinstance(error, TypeError) else f"{type(error).__name__}: {error}"
        raise Misfit(f": {kind.__qualname__} can't be made from its fields: {reason}") from error


def found_fields(kind: type, raw: Any) -> Misfit:
    return Misfit(f": expected the fields of {kind.__qualname__}, found {type(loose.decode(raw)).__qualname__}")


def encoder_of(fields: list[Field]) -> Encode:
    """What is read from the attributes of a value, by key."""
    parts = [(one.name, one.key, one.plan.encode) for one in fields]

    def encode(value: Any, depth: int) -> Any:
        if depth > DEPTH_MAX:
            raise too_deep()
        below, name, made = depth + 1, "", {}
        try:
            for name, key, encode_field in parts:
                made[key] = encode_field(getattr(value, name), below)
        except Misfit as misfit:
            raise misfit.at(f".{name}") from None
        except AttributeError:
            raise Misfit(f".{name} has no value", fits=True) from None
        return made

    return encode


def fields_decoder(fields: list[Field]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    readers = {one.key: one.plan.decode for one in fields}

    def decode(raw: Mapping[str, Any]) -> dict[str, Any]:
        key, made = "", {}
        try:
            for key, one in raw.items():
                reader = readers.get(key)
                made[key] = loose.decode(one) if reader is None else reader(one)
        except Misfit as misfit:
            raise misfit.at(f".{key}") from None
        return made

    return decode


def _fill_named_tuple(plan: Plan, kind: Any, arguments: tuple[Any, ...]) -> None:
    hints = hints_of(kind, arguments)
    plans = [plan_of(hints.get(name, Any)) for name in kind._fields]
    least = len(plans) - len(kind._field_defaults)

    def encode(value: Any, depth: int) -> Any:
        return node(ext.TUPLE, encoded_each(value, plans, depth))

    def decode(raw: Any) -> Any:
        items = items_of(raw)
        if items is None:
            raise found_instead(kind.__qualname__, loose.decode(raw))
        if not least <= len(items) <= len(plans):
            raise Misfit(f": {kind.__qualname__} has {len(plans)} items, found {len(items)}")
        return build(lambda: kind._make([*decoded_each(items, plans[: len(items)]), *defaults(len(items))]), {}, kind)

    def defaults(have: int) -> list[Any]:
        return [kind._field_defaults[name] for name in kind._fields[have:]]

    fill_tree(plan, kind, encode, decode)


def _fill_typed_dict(plan: Plan, kind: Any, arguments: tuple[Any, ...]) -> None:
    hints = hints_of(kind, arguments)
    plans = {name: plan_of(one) for name, one in hints.items()}
    other = plan_of(Any)

    def encode(value: Any, depth: int) -> Any:
        if type(value) is not dict:
            raise found_instead(kind.__qualname__, value)
        if depth > DEPTH_MAX:
            raise too_deep()
        name, made = None, {}
        try:
            for name, one in value.items():
                if type(name) is not str:
                    raise Misfit(": a key of a typed dict is a str")
                made[name] = plans.get(name, other).encode(one, depth + 1)
        except Misfit as misfit:
            raise misfit.at(f"[{name!r}]") from None
        return made

    def decode(raw: Any) -> Any:
        if type(raw) is not dict:
            raise found_instead(kind.__qualname__, loose.decode(raw))
        name, made = "", {}
        try:
            for name, one in raw.items():
                made[name] = plans.get(name, other).decode(one)
        except Misfit as misfit:
            raise misfit.at(f"[{name!r}]") from None
        return made

    plan.set(encode, decode, lambda one: one is dict)
