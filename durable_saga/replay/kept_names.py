"""Where a program keeps a function of the machine's clock or dice: a module's names, an object, a class, a default, a partial.

They are found among the objects of the process when the first saga is about to run, and what stands in is put in their place.
Not found is what only C or Rust code knows, such as the fields of a pydantic model. `durable-saga check` finds those.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import random
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
Made = Mapping[int, Any]
"""What stands in, by the id of what it stands for."""


@contextlib.contextmanager
def all_visible() -> Iterator[None]:
    """What was frozen (`gc.freeze()`, as our own commands do) holds names too, and the collector does not look through it."""
    is_frozen = gc.get_freeze_count() > 0
    gc.unfreeze()
    try:
        yield
    finally:
        if is_frozen:
            gc.freeze()


def replace(made: Made, originals: list[Any]) -> None:
    """Everywhere. `originals` are what `made` is for."""
    own = {id(originals), id(made)}
    in_modules(made)
    tuples: list[tuple[Any, ...]] = []
    for holder in gc.get_referrers(*originals):
        if isinstance(holder, tuple):
            tuples.append(holder)
        elif id(holder) not in own and type(holder).__module__ != "durable_saga.replay.stand_ins":
            _in_holder(holder, made)
    _in_defaults(tuples, made)


def in_modules(made: Made, *, but: tuple[str, ...] = ()) -> None:
    """Where modules have imported them, but for those whose names begin so."""
    for name, module in list(sys.modules.items()):
        names = getattr(module, "__dict__", None)
        if isinstance(names, dict) and not (but and name.startswith(but)):
            for key, value in list(names.items()):
                if id(value) in made:
                    names[key] = made[id(value)]


def generators() -> Iterator[random.Random]:
    """Those that live already: they outlive every saga."""
    for one in gc.get_referrers(random.Random):
        if type(one) is random.Random:
            yield one


def bound_to(kind: type, names: frozenset[str]) -> list[Any]:
    """Built-in methods of a class, such as `datetime.now`, that somebody keeps."""
    return [
        one for one in gc.get_referrers(kind)
        if type(one) is types.BuiltinMethodType and one.__self__ is kind and one.__name__ in names
    ]  # fmt: skip


def _in_holder(holder: Any, made: Made) -> None:
    if isinstance(holder, types.CellType):
        holder.cell_contents = made.get(id(holder.cell_contents), holder.cell_contents)
    elif isinstance(holder, dict):
        _in_dict(holder, made)
    elif isinstance(holder, list):
        holder[:] = [made.get(id(one), one) for one in holder]
    elif isinstance(holder, functools.partial):
        args = tuple([made.get(id(one), one) for one in holder.args])
        state = (made.get(id(holder.func), holder.func), args, holder.keywords, vars(holder))
        holder.__setstate__(state)  # type: ignore[attr-defined]  # as pickle does
    elif not isinstance(holder, type | types.FrameType | types.ModuleType):
        if isinstance(attributes := getattr(holder, "__dict__", None), dict):
            _in_dict(attributes, made)
        _in_slots(holder, made)


def _in_dict(names: dict[Any, Any], made: Made) -> None:
    changed = {name: made[id(value)] for name, value in list(names.items()) if id(value) in made}
    if not changed:
        return
    kind = None
    if "__module__" in names and "__doc__" in names:  # a class's own, perhaps: Python has to know of a change
        kind = next((one for one in gc.get_referrers(names) if isinstance(one, type) and _is_dict_of(one, names)), None)
    for name, value in changed.items():
        if kind is None:
            names[name] = value
        elif kind.__flags__ & _IMMUTABLE == 0:
            setattr(kind, name, value)


def _is_dict_of(kind: type, names: dict[Any, Any]) -> bool:
    return any(one is names for one in gc.get_referents(vars(kind)))


def _in_defaults(tuples: list[tuple[Any, ...]], made: Made) -> None:
    """A tuple can't be changed; that of a function's defaults is replaced."""
    known = set(map(id, tuples))
    for one in gc.get_referrers(*tuples) if tuples else ():
        if isinstance(one, types.FunctionType) and id(one.__defaults__) in known:
            one.__defaults__ = tuple([made.get(id(value), value) for value in one.__defaults__ or ()])


def _in_slots(holder: Any, made: Made) -> None:
    for kind in type(holder).__mro__:
        for name, slot in list(vars(kind).items()):
            if isinstance(slot, _SLOTS) and (value := made.get(id(getattr(holder, name, None)))) is not None:
                try:
                    setattr(holder, name, value)
                except (AttributeError, TypeError):
                    pass  # one that can't be set, such as __self__ of a bound method


_IMMUTABLE = 1 << 8
"""Py_TPFLAGS_IMMUTABLETYPE."""
