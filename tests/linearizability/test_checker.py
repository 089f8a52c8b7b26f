"""The checker accepts histories that have an order, and refuses those that have none."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from tests.linearizability import checker
from tests.linearizability.checker import (
    ABSENT,
    COMMITTED,
    CREATED,
    EXISTS,
    FENCED,
    FOUND,
    UNKNOWN,
    Call,
    Register,
    apply,
    check,
)

NEW = Register("i", 1, "a", 1, 1, "create")


def create(began: int, ended: int | None, outcome: str = CREATED, incarnation: str = "i", owner: str = "a") -> Call:
    return Call(
        "create", began, ended, outcome, incarnation=incarnation, epoch=1, owner=owner, next_seq=1, status=1, commit="create"
    )


def acquire(began: int, ended: int | None, epoch: int, outcome: str = COMMITTED, owner: str = "b") -> Call:
    return Call("acquire", began, ended, outcome, incarnation="i", epoch=epoch, owner=owner)


def commit(began: int, ended: int | None, epoch: int, seq: int, name: str, outcome: str = COMMITTED, status: int = 1) -> Call:
    return Call(
        "commit", began, ended, outcome, incarnation="i", epoch=epoch, next_seq=seq, count=1, commit=name, status=status,
        is_open=status == 1,
    )  # fmt: skip


def head(began: int, ended: int | None, seen: Register | None) -> Call:
    return Call("head", began, ended, ABSENT if seen is None else FOUND, seen=seen)


GOOD = {
    "one after the other": [
        head(0, 1, None), create(2, 3), commit(4, 5, 1, 1, "x"), head(6, 7, Register("i", 1, "a", 2, 1, "x")),
    ],
    "a read during a commit sees the head before it, and a later one the head after it": [
        create(0, 1), commit(2, 9, 1, 1, "x"), head(3, 4, NEW), head(5, 6, Register("i", 1, "a", 2, 1, "x")),
    ],
    "of two starts at once the second one in the text won": [
        create(0, 5, EXISTS), create(1, 4, CREATED, "j", "b"), head(6, 7, Register("j", 1, "b", 1, 1, "create")),
    ],
    "an unknown commit takes effect long after its time-out": [
        create(0, 1), commit(2, 3, 1, 1, "x", UNKNOWN), head(4, 5, NEW), head(6, 7, Register("i", 1, "a", 2, 1, "x")),
    ],
    "an unknown commit never takes effect": [
        create(0, 1), commit(2, 3, 1, 1, "x", UNKNOWN), acquire(4, 5, 1), commit(6, 7, 2, 1, "y"),
        commit(8, 9, 1, 1, "x", FENCED),
    ],
    "the call of a client that died took effect": [
        create(0, None), head(1, 2, NEW), commit(3, None, 1, 1, "x"), head(4, 5, Register("i", 1, "a", 2, 1, "x")),
    ],
    "the identical commit sent again is committed once": [
        create(0, 1), commit(2, 3, 1, 1, "x", UNKNOWN), commit(4, 5, 1, 1, "x"), commit(6, 7, 1, 2, "y"),
        commit(8, 9, 1, 1, "x", FENCED),
    ],
    "an acquire that was overtaken is told that it is fenced": [
        create(0, 1), acquire(2, 9, 1, FENCED, "b"), acquire(3, 8, 2, COMMITTED, "c"),
    ],
    "the end takes the owner away": [
        create(0, 1), commit(2, 3, 1, 1, "end", status=4), head(4, 5, Register("i", 1, "", 2, 4, "end", False)),
        acquire(6, 7, 1, FENCED),
    ],
}  # fmt: skip
BAD = {
    "a lost update": [create(0, 1), commit(2, 3, 1, 1, "x"), head(4, 5, NEW)],
    "a lost start": [create(0, 1), head(2, 3, None)],
    "two starts of one run": [create(0, 5), create(1, 4, CREATED, "j", "b")],
    "two commits under one number": [create(0, 1), commit(2, 5, 1, 1, "x"), commit(3, 4, 1, 1, "y")],
    "two owners at one epoch": [create(0, 1), acquire(2, 5, 1, owner="b"), acquire(3, 4, 1, owner="c")],
    "an owner of an epoch that another one holds": [
        create(0, 1), acquire(2, 3, 1, owner="b"), head(4, 5, NEW._replace(epoch=2, owner="c")),
    ],
    "a commit under an epoch that is over": [create(0, 1), acquire(2, 3, 1), commit(4, 5, 1, 1, "x")],
    "a stale read": [
        create(0, 1), commit(2, 3, 1, 1, "x"), head(4, 5, Register("i", 1, "a", 2, 1, "x")), head(6, 7, NEW),
    ],
    "a read that goes back while the commit is under way": [
        create(0, 1), commit(2, 9, 1, 1, "x"), head(3, 4, Register("i", 1, "a", 2, 1, "x")), head(5, 6, NEW),
    ],
    "a read of what nobody wrote": [create(0, 1), head(2, 3, NEW._replace(next_seq=7))],
    "a refusal without a reason": [create(0, 1), commit(2, 3, 1, 1, "x", FENCED)],
    "an unknown commit that takes effect before it is sent": [
        create(0, 1), head(2, 3, Register("i", 1, "a", 2, 1, "x")), commit(4, 5, 1, 1, "x", UNKNOWN),
    ],
    "an unknown commit that takes effect twice": [
        create(0, 1), commit(2, 3, 1, 1, "x", UNKNOWN), head(4, 5, Register("i", 1, "a", 2, 1, "x")), commit(6, 7, 1, 2, "y"),
        head(8, 9, Register("i", 1, "a", 2, 1, "x")),
    ],
    "a take-over of a run that has ended": [create(0, 1), commit(2, 3, 1, 1, "end", status=4), acquire(4, 5, 1)],
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_history_with_an_order_is_accepted(name: str) -> None:
    assert check(GOOD[name]) is None


@pytest.mark.parametrize("name", BAD)
def test_a_history_without_an_order_is_refused(name: str) -> None:
    assert "no order" in (check(BAD[name]) or "")


def invented(dice: random.Random) -> list[Call]:
    """What four clients might see of a right store: each call takes effect at an instant within its time, an unknown one
    perhaps after it."""
    register: Register | None = None
    effects: list[tuple[float, Call]] = []
    for number, began in enumerate(sorted(dice.uniform(0, 60) for _ in range(40))):
        epoch, seq, owner = dice.randint(1, 3), dice.randint(1, 5), dice.choice("abcd")
        ended = began + dice.uniform(0, 4)
        call = dice.choice([
            create(0, 0, incarnation=dice.choice("ij"), owner=owner), acquire(0, 0, epoch, owner=owner),
            commit(0, 0, epoch, seq, f"c{number % 20}"), head(0, 0, None),
        ])  # fmt: skip
        unknown = call.kind != "head" and dice.random() < 0.15
        effect = began + dice.uniform(0, 30) if unknown else dice.uniform(began, ended)
        word = UNKNOWN if unknown else ""
        effects.append((effect, replace(call, invoked=int(began * 1e6), responded=int(ended * 1e6), outcome=word)))
    calls = []
    for _, call in sorted(effects, key=lambda one: one[0]):
        register, outcome = apply(register, call)
        if call.outcome != UNKNOWN:
            call = replace(call, outcome=outcome, seen=register if call.kind == "head" else None)
        calls.append(call)
    return calls


@pytest.mark.parametrize("seed", range(30))
def test_what_a_right_store_answers_is_accepted_in_whatever_order_the_calls_overlap(seed: int) -> None:
    assert check(invented(random.Random(seed))) is None


def test_an_answer_that_tells_a_head_that_never_was_is_refused() -> None:
    refused = 0
    for seed in range(20):
        calls = invented(random.Random(seed))
        place = next(place for place, call in enumerate(calls) if call.kind == "head")
        changed = replace(calls[place], outcome=FOUND, seen=NEW._replace(epoch=9))
        refused += check([*calls[:place], changed, *calls[place + 1 :]]) is not None
    assert refused == 20


def test_a_search_that_grows_too_large_is_an_error_and_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "CONFIGURATIONS_MAX", 3)
    moments = itertools.count()
    with pytest.raises(RuntimeError, match="configurations"):
        check([head(next(moments), next(moments), None) for _ in range(9)])
