"""A history, cut anywhere, and unwound from the journal alone: what is undone, and in which order, is what the code would have
undone in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import currently_in_test_context, event, given, settings
from hypothesis import strategies as st

from durable_saga.errors import NonDeterminism
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.history import INTENTS
from durable_saga.replay.rebuilding import Rebuilding
from durable_saga.replay.without_code import WithoutCode
from durable_saga.testing.driver import Driver
from durable_saga.testing.faults import NO_FAULTS, Faults
from durable_saga.worker.catalogue import Catalogue
from tests.hypothesis_profile import examples
from tests.laws.doubt import unsettled
from tests.laws.sagas import Program, definition_of, sagas, whole
from tests.laws.test_reference import Seen, by_label, crashes, engine, made, names, once_each

CATALOGUE = Catalogue([whole])
CANCEL = h.Event(cancel_requested=h.CancelRequested(message_id="late", reason="test"))


def without_orders(program: Program) -> Program:
    """The function of a scope's order is the one thing that no journal has."""
    if program[:2] == ["scope", "sorted"]:
        program = ["scope", "", *program[2:]]
    return [without_orders(one) if isinstance(one, list) else one for one in program]


def unwound(definition: Any, journal: Sequence[h.Event], why: str, faults: Faults = NO_FAULTS) -> tuple[Driver, Seen]:
    """Of a run that has this history, and whose cancel comes now."""
    driver = Driver(definition, faults=faults, order=by_label, definitions=CATALOGUE, why=why, messages_before_timers=False)
    driver.take_over(journal)
    log: Seen = []
    while True:
        if not driver.core.ended and not any(event.cancel_requested.message_id == "late" for event in driver.journal):
            driver.inject(h.Event.FromString(CANCEL.SerializeToString()))
        attempts = driver.go_on()
        try:
            effect = next(attempts)
            while True:
                effect = attempts.send(made(effect, log))
        except StopIteration:
            pass
        is_there = any(event.cancel_requested.message_id == "late" for event in driver.journal)
        if driver.core.ended or is_there:
            return driver, once_each(log)


def ends_with_its_activation(journal: Sequence[h.Event], cut: int) -> bool:
    return cut == len(journal) or str(journal[cut].WhichOneof("kind")) not in INTENTS


def scheduled_last(journal: Sequence[h.Event]) -> int:
    """How many steps the last activation has scheduled, as far as it is there."""
    count = 0
    for one in reversed(journal):
        if str(one.WhichOneof("kind")) not in INTENTS:
            break
        count += one.HasField("step_scheduled")
    return count


def failure_of(journal: Sequence[h.Event]) -> str:
    """Of the unwind of the whole saga."""
    unwinds = [one.unwind_started for one in journal if one.HasField("unwind_started") and not one.unwind_started.call]
    return unwinds[-1].failure.type if unwinds else ""


def tell(words: str) -> None:
    if currently_in_test_context():
        event(words)


def check(
    programs: list[Program], cut: int, hold: bool, cancel_after: int | None, early: list[str], late: list[str],
    crash_at: frozenset[int], lose_at: frozenset[int],
) -> None:  # fmt: skip
    driver, _ = engine(programs, Faults((), (), {}, cancel_after), 0, hold, early, late)
    journal = driver.journal[: min(cut, len(driver.journal) - driver.core.ended)]
    if not driver.core.ended:
        driver.core.discard()
    definition = definition_of(0, hold, programs[1:])
    by_code, wanted = unwound(definition, journal, "")
    by_journal, log = unwound(definition, journal, "the code is another one", Faults(crash_at, lose_at, {}, None))
    try:
        alone = by_journal.core.without_code
        assert alone is not None
        if not alone.can_be_undone and not by_journal.core.ended:
            tell("only goes forward")
            return
        assert [one for one in log if one[0] == "do"] == []
        is_whole = ends_with_its_activation(driver.journal, len(journal))
        reason = failure_of(by_journal.journal)
        if failure_of(by_code.journal) not in (["", reason] if is_whole else [reason]):
            tell("the code would have gone on, or made another error of it")
            return
        if is_whole:
            assert (log, by_journal.status) == ([one for one in wanted if one[0] == "undo"], by_code.status)
        else:
            both = {one[1] for one in log} & {one[1] for one in wanted if one[0] == "undo"}
            assert [one for one in log if one[1] in both] == [one for one in wanted if one[0] == "undo" and one[1] in both]
            assert len({one[1] for one in log} - both) <= scheduled_last(journal)  # cut before it could say: never begun
        assert unsettled(by_journal.journal) == []
        tell(by_journal.status)
    finally:
        for one in (by_code, by_journal):
            if not one.core.ended:
                one.core.discard()


LAW: dict[str, Any] = {
    "programs": sagas.map(lambda many: [without_orders(one) for one in many]), "cut": st.integers(1, 60), "hold": st.booleans(),
    "cancel_after": st.none() | st.integers(0, 15), "early": names, "late": names, "crash_at": crashes, "lose_at": crashes,
}  # fmt: skip


@settings(max_examples=examples(500))
@given(**LAW)
def test_what_is_unwound_from_the_journal_is_what_the_code_would_have_undone(**drawn: Any) -> None:
    check(**drawn)


# --- bugs that the law must find ------------------------------------------------------------------------------------------

_fold, _register, _opened = WithoutCode.fold, Rebuilding._register, Rebuilding._opened


def undo_twice(self: Any, event: h.Event, kind: str, *, taken_back: bool) -> bool:
    """What was undone before the stop is forgotten."""
    if kind.startswith("compensation_") and kind != "compensation_registered" and self._standing.phase == "forward":
        self._tape.history.passed(event)
        return True
    return _fold(self, event, kind, taken_back=taken_back)


def register_below(self: Any, entry: Any, body: Any) -> None:
    """Another order."""
    _register(self, entry, body)
    scope = self._scope_of(body.call, body.scope)
    scope.items.insert(0, scope.items.pop())


def forget_scopes(self: Any, call: str, told: str) -> Any:
    return self._stack.root


def forget_doubts(self: Any) -> None:
    """What was under way is taken for done with."""
    for call in list(self._rebuilding.open):
        self._rebuilding._stack.not_needed(call)
    _settle(self)


_settle = WithoutCode.settle
BUGS = {
    "undone twice": (WithoutCode, "fold", undo_twice),
    "undone in another order": (Rebuilding, "_register", register_below),
    "a scope is no unit": (Rebuilding, "_scope_of", forget_scopes),
    "what is in doubt is left": (WithoutCode, "settle", forget_doubts),
}


def act(label: int) -> Program:
    return ["step", "act", label, "ok", "ok"]


SIDE_BY_SIDE: Program = [
    "seq",
    ["gather", ["scope", "", ["seq", act(1), act(3)]], ["scope", "", ["seq", act(2), ["child", "parallel", act(4)], act(5)]]],
    ["scope", "parallel", ["gather", act(6), act(7), act(8)]],
    ["try", ["scope", "", ["seq", act(9), act(10), ["raise"]]]],
    act(11),
    ["signal", "x"],
]  # fmt: skip


def check_all_cuts() -> None:
    for cut in range(1, 50):
        check([SIDE_BY_SIDE], cut, False, None, [], [], frozenset(), frozenset())


def test_scopes_that_are_open_side_by_side_are_undone_as_units() -> None:
    check_all_cuts()


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, place, broken = BUGS[name]
    monkeypatch.setattr(owner, place, broken)
    with pytest.raises((AssertionError, NonDeterminism)):
        check_all_cuts()
