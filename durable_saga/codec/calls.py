"""The plans of a signature's parameters, kept by signature."""

from __future__ import annotations

import inspect
from typing import Any

from durable_saga.codec.misfit import Misfit
from durable_saga.codec.plan import PLANS_MAX, Plan, annotation_of, plan_of, when_forgotten

_kept: dict[int, tuple[inspect.Signature, CallPlan]] = {}
when_forgotten.append(_kept.clear)


class CallPlan:
    """`positional`: of the parameters that may be given by place. `rest` and `others`: of *args and **kwargs. `result_misfit`:
    why no result could be written, which is to be known before there is one."""

    __slots__ = ("_by_name", "_others", "_rest", "encoders", "positional", "result_misfit")

    def __init__(self, signature: inspect.Signature) -> None:
        self.positional: list[Plan] = []
        self._by_name: dict[str, Plan] = {}
        self._rest: Plan | None = None
        self._others: Plan | None = None
        for name, one in signature.parameters.items():
            try:
                plan = plan_of(annotation_of(one))
            except Misfit as misfit:
                plan = _broken(misfit)
            if one.kind is one.VAR_POSITIONAL:
                self._rest = plan
            elif one.kind is one.VAR_KEYWORD:
                self._others = plan
            else:
                self._by_name[name] = plan
            if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD):
                self.positional.append(plan)

        self.result_misfit: Misfit | None = None
        try:
            plan_of(signature.return_annotation)
        except Misfit as misfit:
            self.result_misfit = misfit
        self.encoders = [plan.encode for plan in self.positional]

    @property
    def rest(self) -> Plan:
        if self._rest is None:
            raise Misfit(": there are more arguments than parameters", fits=True)
        return self._rest

    def named(self, name: str) -> Plan:
        found = self._by_name.get(name) or self._others
        if found is None:
            raise Misfit(": there is no parameter of that name", fits=True)
        return found


def _broken(misfit: Misfit) -> Plan:
    """Of a parameter whose annotation can't be looked up: whoever gives it a value is told."""

    def refuse(*_: Any) -> Any:
        raise Misfit(misfit.problem, fits=True, path=misfit.path)

    return Plan(Any).set(refuse, refuse, lambda _: True)


def name_of_place(signature: inspect.Signature, place: int) -> str:
    """How messages call the argument at that place."""
    names = [one.name for one in signature.parameters.values() if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return names[place] if place < len(names) else str(place)


def call_plan_of(signature: inspect.Signature) -> CallPlan:
    """Made once for each signature."""
    found = _kept.get(id(signature))
    if found is not None and found[0] is signature:
        return found[1]
    made = CallPlan(signature)
    if len(_kept) >= PLANS_MAX:
        _kept.clear()
    _kept[id(signature)] = (signature, made)
    return made
