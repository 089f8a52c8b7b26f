"""The order in which a table is undone, by the names in it: a group or a sub-saga has its place as one unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from durable_saga.authoring.saga import SagaFunction
from durable_saga.declared.declarative import Parallel, SubSaga

Units = Mapping[str, Sequence[str]]


def order_units(items: Sequence[Any]) -> dict[str, list[str]]:
    """What each name that an order may use stands for, as names of steps: a group for its members; the name of a sub-saga's
    own saga for its step, where only one step has it."""
    flat: list[Any] = [one for item in items for one in (item, *(item.steps if isinstance(item, Parallel) else ()))]
    children = Counter(_saga_name(one) for one in flat if isinstance(one, SubSaga))
    units = {one.name: [one.name] for one in flat}
    for one in flat:
        if isinstance(one, Parallel):
            members: Sequence[Any] = one.steps
            units[one.name] = [member.name for member in members]
        elif isinstance(one, SubSaga) and children[_saga_name(one)] == 1:
            units.setdefault(_saga_name(one), [one.name])
    return units


def _saga_name(item: SubSaga) -> str:
    return item.saga.definition.name if isinstance(item.saga, SagaFunction) else item.saga.name


def in_order(units: Units, order: Sequence[str], names: Sequence[str]) -> list[str]:
    """Those of the names, last registered first, that the order speaks of. A member that is named itself is not at the place
    of its group."""
    alone = {units[name][0] for name in order if len(units[name]) == 1}
    found: list[str] = []
    for name in order:
        wanted = set(units[name]) if len(units[name]) == 1 else set(units[name]) - alone
        found += [one for one in names if one in wanted]
    return list(dict.fromkeys(found))
