"""The order of compensations: a child, a scope, a group or a sub-saga has its place, and no order blocks an unwind."""

from __future__ import annotations

from typing import Any

import pytest

from durable_saga import NotApplied, Parallel, Saga, SagaStep, Step, SubSaga, on_failure, saga, scope
from durable_saga.errors import DefinitionError
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import Core
from tests.unit.judged import ONCE, Refused, exits, is_async, notes, play, raises, stepped, undo_more


def registers_one(names: list[str]) -> list[str]:
    on_failure(undo_more)
    return names


def ordered(order: Any) -> Any:
    @saga
    async def child() -> None:
        await stepped("k1")()
        await stepped("k2")()

    @saga(compensation_order=order)
    async def one() -> None:
        await stepped("a")()
        await child()
        async with scope("part"):
            await stepped("s1")()
            await stepped("s2")()
        await stepped("b")()
        raise Refused("no")

    return one


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (lambda names: ["child", "b"], ["k2", "k1", "b", "s2", "s1", "a"]),
        (lambda names: ("a", "part", "child"), ["a", "s2", "s1", "k2", "k1", "b"]),
        (lambda names: sorted(names), ["a", "b", "k2", "k1", "s2", "s1"]),
    ],
)
def test_c2_a_child_or_scope_has_its_place_as_one_unit(order: Any, expected: list[str]) -> None:
    result = play(ordered(order))
    assert result.compensated_steps == expected
    assert notes(result) == []


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (raises, "failed, so the usual order holds: KeyError"),
        (exits, "failed, so the usual order holds: SystemExit"),
        (lambda names: None, "gave a NoneType instead of a list of names"),
        (lambda names: "b", "gave a str instead of a list"),
        (lambda names: {"a", "b"}, "gave a set instead of a list"),
        (lambda names: (name for name in names), "gave a generator instead of a list"),
        (lambda names: [1, 2], "gave a list instead of a list of names"),
        (lambda names: is_async(names), "it is async"),
        (registers_one, "on_failure() can't be used in a condition or an order"),
        (lambda names: ["bb"], "names bb, of which there is nothing to undo; there are b, part, child, a"),
    ],
)
def test_c2_an_order_that_goes_wrong_blocks_nothing_and_is_recorded(order: Any, words: str) -> None:
    result = play(ordered(order))
    assert result.status == "compensated"
    assert result.compensated_steps == ["b", "s2", "s1", "k2", "k1", "a"]
    assert len(notes(result)) == 1
    assert words in notes(result)[0]


def test_c2_the_order_of_an_unwind_stands_when_its_function_changes() -> None:
    journal = play(ordered(lambda names: ["child", "b"]))._events
    core = Core(ordered(lambda names: ["a"]).definition, h.RunKey(namespace="test", saga="saga", run=1))
    core.replay(journal)
    assert core.ended
    core.discard()


def table(order: list[str] | None, child: Any = None) -> Any:
    class Child(Saga):
        name = "inner_saga"

        def define(self) -> list[SagaStep]:
            return [Step("k1", self.act, self.undo), Step("k2", self.act, self.undo)]

        def act(self, context: Any) -> None: ...

        def undo(self, context: Any) -> None: ...

    class Table(Child):
        name = "outer"
        retry = ONCE

        def define(self) -> list[SagaStep]:
            return [
                Step("a", self.act, self.undo),
                Parallel("group", [Step("g1", self.act, self.undo), Step("g2", self.act, self.undo)]),
                SubSaga("sub", child or Child),
                Step("b", self.act, self.undo),
                Step("end", self.end),
            ]

        def end(self, context: Any) -> None:
            raise NotApplied("no")

        def compensation_order(self) -> Any:
            return order

    return Table


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (None, ["b", "k2", "k1", "g2", "g1", "a"]),
        (["sub", "b"], ["k2", "k1", "b", "g2", "g1", "a"]),
        (["inner_saga", "a"], ["k2", "k1", "a", "b", "g2", "g1"]),
        (["group", "a"], ["g2", "g1", "a", "b", "k2", "k1"]),
        (["g1", "sub", "group"], ["g1", "k2", "k1", "g2", "b", "a"]),
        (["a", "group", "g2"], ["a", "g1", "g2", "b", "k2", "k1"]),
    ],
)
def test_c2_groups_and_sub_sagas_of_a_table_have_their_place(order: Any, expected: list[str]) -> None:
    assert play(table(order), {}).compensated_steps == expected


def test_c2_a_function_as_sub_saga_is_named_by_its_step() -> None:
    @saga(name="inner_saga")
    async def child(context: Any) -> None:
        await stepped("k")()

    assert play(table(["sub", "b"], child), {}).compensated_steps == ["k", "b", "g2", "g1", "a"]


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (["su"], r"names 'su', which isn't a step: did you mean 'sub'\?"),
        (["a", "a"], "names 'a' twice"),
        ("a", r"'a' isn't a list: give a list of names; write \['a'\]"),
        ({"a"}, "isn't a list"),
        ([3], "names 3, which isn't a step"),
    ],
)
def test_c2_an_order_of_a_table_that_names_nothing_is_refused(order: Any, words: str) -> None:
    with pytest.raises(DefinitionError, match=rf"test_undo_order.py:\d+: compensation_order\(\).*{words}"):
        play(table(order), {})
