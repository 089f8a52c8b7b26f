"""Which steps of a table a run has: those of the version of its code at which it began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from durable_saga.declared.declarative import Parallel, SagaStep
from durable_saga.definition.definition import version_of
from durable_saga.errors import DefinitionError


def items_at(items: Sequence[SagaStep], version: int) -> list[SagaStep]:
    """Those of the table for a run that began at this version; a group without members is none."""
    found: list[SagaStep] = []
    for item in items:
        if not _is_there(item, version):
            continue
        if isinstance(item, Parallel):
            members = items_at(item.steps, version)
            if not members:
                continue
            item = item if len(members) == len(item.steps) else replace(item, steps=members)
        found.append(item)
    return found


def _is_there(item: SagaStep, version: int) -> bool:
    return item.since <= version and (item.before is None or version < item.before)


def check_versions(items: Sequence[SagaStep], version: int) -> None:
    """`version`: of the saga. Raises DefinitionError."""
    for item in items:
        _check(item, version)
        if isinstance(item, Parallel):
            check_versions(item.steps, version)


def _check(item: SagaStep, version: int) -> None:
    try:
        version_of(item.since, f"{item.place}: since")
        if item.before is not None:
            version_of(item.before, f"{item.place}: before")
    except (TypeError, ValueError) as error:
        raise DefinitionError(str(error)) from None
    latest = max(item.since, item.before or 1)
    if latest > version:
        raise DefinitionError(
            f"{item.place}: a step has since={item.since}, before={item.before}, but the saga has version {version}: give its"
            f" class `version = {latest}`, or correct the step"
        )
    if item.before is not None and item.before <= item.since:
        raise DefinitionError(f"{item.place}: a step with since={item.since}, before={item.before} is in no run")
