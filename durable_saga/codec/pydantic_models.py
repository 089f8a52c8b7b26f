"""Plans of pydantic models: fields by our plans, made again by pydantic's validation, then each field put back as it was.

A field with validators or serializers of its own, or of a type that only pydantic knows, goes through pydantic's serializer.
Encoding validates what it wrote, so that a model that pydantic would not make again is refused where it is given.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from durable_saga.codec import extension as ext
from durable_saga.codec import loose
from durable_saga.codec.lineage import fill_tree
from durable_saga.codec.misfit import DEPTH_MAX, Misfit, found_instead, too_deep
from durable_saga.codec.plan import Plan, plan_of
from durable_saga.codec.wire import Node, node


def is_model(kind: type) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(kind, pydantic.BaseModel)


def fill(plan: Plan, kind: Any) -> None:
    if kind is sys.modules["pydantic"].BaseModel:  # it stands for its subclasses alone, and has nothing to look at
        fill_tree(plan, kind, lambda value, _: _refused(value), _refused)
        return
    model = _Model(kind)
    fill_tree(plan, kind, model.encode, model.decode)


def _refused(value: Any) -> Any:
    raise found_instead("a pydantic model", loose.decode(value) if isinstance(value, Node) else value)


class _Model:
    """What is known of one model class. `plans` has its fields; those in `dumped` are pydantic's to write and read."""

    def __init__(self, kind: Any) -> None:
        import pydantic

        if not kind.__pydantic_complete__ and kind.model_rebuild(raise_errors=False) is False:
            raise Misfit(f": an annotation of {kind.__module__}.{kind.__qualname__} can't be looked up", fits=True)
        self._kind = kind
        self._is_root = issubclass(kind, pydantic.RootModel)
        self._by_name = {"by_alias": True, "by_name": True} if _version(pydantic) >= (2, 11) else {}
        self._plans: dict[str, Plan] = {}
        self._inputs: dict[str, str] = {}
        self._dumped: set[str] = set()
        for name, field in kind.model_fields.items():
            self._plans[name] = plan_of(field.annotation)
            self._inputs[name] = _input_of(name, field)
            if any(hasattr(one, "__get_pydantic_core_schema__") for one in field.metadata):
                self._dumped.add(name)
        self._has_aliases = any(name != key for name, key in self._inputs.items())
        self._readers = {name: plan.decode for name, plan in self._plans.items() if name not in self._dumped}
        self._names = {key: name for name, key in self._inputs.items()} | {name: name for name in self._plans}

    # --- to bytes ----------------------------------------------------------------------------------------------------

    def encode(self, value: Any, depth: int) -> Any:
        if depth > DEPTH_MAX:
            raise too_deep()
        held, fields, dumped, name = value.__dict__, {}, dict.fromkeys(self._dumped), ""
        try:
            for name, plan in self._plans.items():
                if name not in dumped:
                    try:
                        fields[name] = plan.encode(held[name], depth + 1)
                        continue
                    except Misfit as misfit:
                        if not misfit.fits:
                            raise
                        reason = misfit
                else:
                    reason = None
                dumped[name] = self._dump(value, name, reason)
                fields[name] = loose.encode(dumped[name], depth + 1)
        except Misfit as misfit:
            raise misfit.at(f".{name}") from None
        except KeyError:
            raise Misfit(f".{name} has no value", fits=True) from None
        extra = value.__pydantic_extra__ or {}
        self._check(value, dumped, extra)
        details = self._details(value, extra, depth)
        return node(ext.RECORD, [fields, details] if details else [fields])

    def _dump(self, value: Any, name: str, reason: Misfit | None) -> Any:
        """What pydantic's serializer makes of a field. `reason`: why we don't write it."""
        write = value.__pydantic_serializer__.to_python
        found: Any = None
        for mode in ("python", "json"):
            try:
                written = write(value, mode=mode, include={name}, round_trip=True, by_alias=False, warnings=False)
                found = written if self._is_root else written[name]
            except Exception as error:  # of the user's own serializer, or for want of one
                raise reason or Misfit(f": its serializer failed: {type(error).__name__}: {error}", fits=True) from error
            if _is_plain(found):
                return found
        raise reason or Misfit(f": its serializer makes a {type(found).__qualname__}", fits=True)

    def _check(self, value: Any, dumped: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
        held = value.__dict__
        given = {key: dumped[name] if name in dumped else held[name] for name, key in self._inputs.items()}
        try:
            again = self._validated({**extra, **given})
        except Misfit as misfit:
            raise Misfit(f" of type {self._kind.__qualname__} would not be accepted again{misfit}", fits=True) from None
        for name in dumped:
            if not _is_same(again.__dict__[name], held[name]):
                raise Misfit(f".{name} does not come back from its serializer and validation as it is", fits=True)

    def _details(self, value: Any, extra: Mapping[str, Any], depth: int) -> dict[str, Any]:
        details: dict[str, Any] = {}
        if len(value.__pydantic_fields_set__) < len(self._plans) + len(extra):
            details["unset"] = [name for name in self._plans if name not in value.__pydantic_fields_set__]
        if extra:
            details["extra"] = {name: exact(one, f".{name}", depth + 1) for name, one in extra.items()}
        private = {}
        for name, one in (value.__pydantic_private__ or {}).items():
            attribute = self._kind.__private_attributes__.get(name)
            if attribute is not None and attribute.default_factory is None and attribute.default == one:
                continue
            try:
                private[name] = exact(one, f".{name}", depth + 1)
            except Misfit:
                pass  # a lock, a client: the model makes it anew
        if private:
            details["private"] = private
        return details

    # --- and back ------------------------------------------------------------------------------------------------------

    def decode(self, raw: Any) -> Any:
        if type(raw) is Node and raw.code == ext.RECORD:
            return self._decode_record(raw.items[0], raw.items[1] if len(raw.items) > 1 else {})
        if self._is_root and not (type(raw) is dict and raw.keys() == {"root"}):
            raw = {"root": raw}
        if type(raw) is not dict:
            return self._validated(loose.decode(raw))
        return self._validated({key: self._readable(key, one)[0] for key, one in raw.items()})

    def _readable(self, key: str, raw: Any) -> tuple[Any, bool]:
        """What pydantic gets for a field, and whether it is exactly what was written. What does not fit its annotation is left
        to pydantic, which may know how to make one of the other."""
        name = self._names.get(key)
        if name is not None and name not in self._dumped:
            try:
                return self._plans[name].decode(raw), True
            except Misfit:
                pass
        return loose.decode(raw), False

    def _decode_record(self, fields: Mapping[str, Any], details: Mapping[str, Any]) -> Any:
        given, exact = self._read(fields)
        if not details:
            made = self._validated(given)
            made.__dict__.update(exact)
            return made
        later = loose.decode(details)
        extra = later.get("extra") or {}
        made = self._validated({**extra, **given})
        made.__dict__.update(exact)
        if made.__pydantic_extra__ is not None:
            made.__pydantic_extra__.update(extra)
        unset = set(later.get("unset") or ())
        object.__setattr__(made, "__pydantic_fields_set__", ({*fields, *extra} - unset) & {*self._plans, *extra})
        for name, one in (later.get("private") or {}).items():
            if name in self._kind.__private_attributes__:
                setattr(made, name, one)
        return made

    def _read(self, fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What pydantic gets, by its keys, and what is exactly as it was written, by field."""
        try:
            exact = {name: self._readers[name](raw) for name, raw in fields.items()}
        except (Misfit, KeyError):
            pass  # some are pydantic's to make: one by one
        else:
            return {self._inputs[name]: one for name, one in exact.items()} if self._has_aliases else dict(exact), exact
        given, exact = {}, {}
        for name, raw in fields.items():
            given[self._inputs.get(name, name)], fits = self._readable(name, raw)
            if fits:
                exact[name] = given[self._inputs[name]]
        return given, exact

    def _validated(self, given: Any) -> Any:
        if self._is_root and type(given) is dict and given.keys() == {"root"}:
            given = given["root"]
        try:
            made = self._kind.__pydantic_validator__.validate_python(given, **self._by_name)
        except Exception as error:  # a ValidationError, or what the user's own validators raise
            raise Misfit(f": {error}") from None
        if type(made) is not self._kind:
            raise Misfit(f": the validators of {self._kind.__qualname__} make a {type(made).__qualname__}")
        return made


def _version(pydantic: Any) -> tuple[int, int]:
    major, minor = pydantic.VERSION.split(".")[:2]
    return int(major), int(minor)


def _input_of(name: str, field: Any) -> str:
    """The key under which validation looks for a field first."""
    alias = field.validation_alias
    if alias is not None and not isinstance(alias, str):
        alias = next((one for one in getattr(alias, "choices", ()) if isinstance(one, str)), name)
    return alias or name


def _is_same(one: Any, other: Any) -> bool:
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # a type whose comparison gives no bool
        return repr(one) == repr(other)


def _is_plain(value: Any) -> bool:
    before = len(loose.noticed)
    try:
        loose.encode(value, 0)
    except Misfit:
        return False
    found = len(loose.noticed) == before
    del loose.noticed[before:]
    return found


def exact(value: Any, path: str, depth: int) -> Any:
    """Loosely, but only what comes back as it is."""
    before = len(loose.noticed)
    plain = loose.encode(value, depth)
    if len(loose.noticed) > before:
        del loose.noticed[before:]
        raise Misfit(f"{path} has no annotation and holds a {type(value).__qualname__}", fits=True)
    return plain
