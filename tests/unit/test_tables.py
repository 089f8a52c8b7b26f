"""Tables of steps: what is wrong in one is told where it stands, and harms no other saga of the module."""

from __future__ import annotations

import asyncio
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest

from durable_saga import Parallel, Retry, Saga, SagaManager, SagaOrchestrator, SagaStep, Step, SubSaga, WaitForEvent, saga, step
from durable_saga.cli.processes import find_sagas
from durable_saga.declared.compiled import function_of
from durable_saga.errors import AlreadyEnded, DefinitionError, InvalidArgument, SagaFailed
from durable_saga.testing import SagaTestRunner


def act(context: Any) -> None: ...


def undo(context: Any) -> None: ...


async def asks(context: Any, results: Any) -> bool:
    return True


def with_items(*items: Any, **members: Any) -> type[Saga]:
    return type("Table", (Saga,), {"name": "table", "define": lambda self: list(items), **members})


def a(**options: Any) -> Step:
    return Step("a", act, **options)


@saga
async def takes_nothing() -> None: ...


WRONG: list[tuple[str, Callable[[], Any]]] = [
    (r"depends_on of step 'b': 'a' isn't a list: give a list of names; write \['a'\]", lambda: Step("b", act, depends_on="a")),
    ("depends_on of step 'b': {'a'} isn't a list", lambda: Step("b", act, depends_on={"a"})),  # type: ignore[arg-type]
    ("depends_on of step 'b': 3 is not a name", lambda: Step("b", act, depends_on=[3])),  # type: ignore[list-item]
    ("depends_on of step 'b': 'a' is there twice", lambda: Step("b", act, depends_on=["a", "a"])),
    ("did you mean 'a'|there are a", lambda: Step("b", act, depends_on=["aa"])),
    ("'a' is defined twice", lambda: Step("a", act)),
    ("needs a name", lambda: Step("", act)),
    ("needs a name", lambda: Step(act, act)),  # type: ignore[arg-type]
    ("the action of step 'b' is 'act'", lambda: Step("b", "act")),  # type: ignore[arg-type]
    ("the action of step 'b' is <class 'str'>", lambda: Step("b", str)),
    ("the compensation of step 'b' is 'undo'", lambda: Step("b", act, "undo")),  # type: ignore[arg-type]
    ("step 'b': timeout", lambda: Step("b", act, timeout="5")),  # type: ignore[arg-type]
    ("step 'b': compensation_timeout", lambda: Step("b", act, undo, compensation_timeout=-1)),
    ("step 'b': retry is 3: give a policy", lambda: Step("b", act, retry=3)),  # type: ignore[arg-type]
    ("compensation_retry is None: give a policy", lambda: Step("b", act, undo, compensation_retry=None)),  # type: ignore[arg-type]
    ("effect is 'no': give True or False", lambda: Step("b", act, effect="no")),  # type: ignore[arg-type]
    ("at_most_once is 1", lambda: Step("b", act, at_most_once=1)),  # type: ignore[arg-type]
    ("pivot is None", lambda: Step("b", act, pivot=None)),  # type: ignore[arg-type]
    ("compensation_strategy is 'now'", lambda: Step("b", act, undo, compensation_strategy="now")),  # type: ignore[arg-type]
    ("go together", lambda: Step("b", act, undo, compensation_strategy="conditional")),
    ("go together", lambda: Step("b", act, undo, compensation_when=lambda context, error: True)),
    (r"compensation_when of step 'b' takes \(error\)", lambda: Step(
        "b", act, undo, compensation_strategy="conditional", compensation_when=lambda error: True,  # type: ignore[misc, arg-type]
    )),
    ("the compensation_when of step 'b' is async", lambda: Step(
        "b", act, undo, compensation_strategy="conditional", compensation_when=asks,  # type: ignore[arg-type]
    )),
    ("the condition of step 'b' is async", lambda: Step("b", act, condition=asks)),  # type: ignore[arg-type]
    ("the condition of step 'b' is True", lambda: Step("b", act, condition=True)),  # type: ignore[arg-type]
    ("when_skipped is 'no'", lambda: Step("b", act, when_skipped="no")),  # type: ignore[arg-type]
    ("the steps of group 'g'", lambda: Parallel("g", Step("b", act))),  # type: ignore[arg-type]
    ("the steps of group 'g'", lambda: Parallel("g", "b")),  # type: ignore[arg-type]
    ("group 'g' has no steps", lambda: Parallel("g", [])),
    ("group 'g' holds 'act'", lambda: Parallel("g", ["act"])),  # type: ignore[list-item]
    ("needs the name of an event, not 3", lambda: WaitForEvent("b", event=3)),  # type: ignore[arg-type]
    ("isn't a saga", lambda: SubSaga("b", act)),  # type: ignore[arg-type]
    ("takes_nothing gets one argument, a context", lambda: SubSaga("b", takes_nothing)),
    ("the context of step 'b' is async", lambda: SubSaga("b", with_items(a()), context=asks)),
    ("step 'a': retry is 3", lambda: SubSaga("b", with_items(a(retry=3)))),
]  # fmt: skip


@pytest.mark.parametrize(("words", "make"), WRONG, ids=[words for words, _ in WRONG])
def test_d5_what_is_wrong_with_a_step_is_told_with_its_place(words: str, make: Callable[[], Any]) -> None:
    with pytest.raises(DefinitionError, match=rf"test_tables.py:\d+: .*({words})"):
        function_of(with_items(a(), make()))


async def define_later(self: Saga) -> list[SagaStep]:
    return []


def define_and_fail(self: Saga) -> list[SagaStep]:
    raise KeyError("CATALOGUE_URL")


@pytest.mark.parametrize(
    ("words", "members"),
    [
        ("define[(][)] of Table failed: KeyError: 'CATALOGUE_URL' .*test_tables.py:", {"define": define_and_fail}),
        ("define[(][)] is async", {"define": define_later}),
        ("define[(][)]: None isn't a list: give a list of steps", {"define": lambda self: None}),
        ("define[(][)]: .* isn't a list", {"define": lambda self: iter([a()])}),
        ("define[(][)] gives 'a'", {"define": lambda self: ["a"]}),
        ("needs define[(][)]", {"define": Saga.define}),
        ("defines no steps", {"define": lambda self: []}),
        ("retry is 3", {"retry": 3}),
        ("timeout", {"timeout": "5"}),
        ("when_failed is 'no'", {"when_failed": "no"}),
        ("compensation_parallel is 'yes'", {"compensation_parallel": "yes"}),
        ("compensation_order is .*: write a method", {"compensation_order": ["a"]}),
        ("compensation_order[(][)] is async", {"compensation_order": define_later}),
        ("compensation_order[(][)] failed: KeyError", {"compensation_order": define_and_fail}),
        ("keys[(][)] is async", {"keys": asks}),
        ("attributes[(][)] is async", {"attributes": asks}),
        ("give the saga a name", {"name": 3}),
        ("can't be made without arguments", {"__init__": lambda self, service: None}),
    ],
)
def test_d1_what_is_wrong_with_a_class_is_told_with_its_place(words: str, members: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match=words):
        function_of(with_items(a(), **members))


def test_d5_a_table_may_hold_itself() -> None:
    class Nested(Saga):
        name = "nested"

        def define(self) -> list[SagaStep]:
            inner = SubSaga("inner", Nested, context=lambda n, _: n - 1)
            return [Step("a", act), SubSaga("inner", inner.saga, inner.context, condition=lambda n, _: n > 0)]

    result = asyncio.run(SagaTestRunner().run(Nested, 2))
    assert result.completed_steps == ["a", "a", "a"]


def test_d1_what_an_action_does_to_results_and_context_is_seen_by_nobody_else() -> None:
    class Sharing(Saga):
        name = "sharing"

        def define(self) -> list[SagaStep]:
            spoils: Any = lambda context, results: results["a"].append(2) or context.append(2) or True  # noqa: E731
            return [Step("a", lambda context: [1]), Step("b", self.b, condition=spoils), Step("c", self.c)]

        def b(self, context: list[int], results: dict[str, Any]) -> list[int]:
            results["a"].append(3)
            context.append(3)
            return list(results["a"])

        def c(self, context: list[int], results: dict[str, Any]) -> list[int]:
            return [*context, *results["a"]]

    assert asyncio.run(SagaTestRunner().run(Sharing, [0])).value == {"a": [1], "b": [1, 3], "c": [0, 1]}


@saga
async def counts(n: int) -> int:
    return n + 1


@saga(keys=lambda n: [n["key"]])
async def keyed(n: Any) -> None: ...


def test_t1_an_argument_of_the_wrong_type_is_told_with_its_parameter() -> None:
    with pytest.raises(InvalidArgument, match="saga counts can't be started with this: argument n: expected int, found str"):
        asyncio.run(SagaTestRunner().run(counts, "7"))
    with pytest.raises(InvalidArgument, match="argument n"):
        asyncio.run(SagaTestRunner().explore(counts, n="7", invariant=lambda result: True))
    with pytest.raises(TypeError, match="missing a required argument: 'n'"):
        asyncio.run(SagaTestRunner().run(counts))
    with pytest.raises(TypeError, match="string indices"):
        asyncio.run(SagaTestRunner().run(keyed, "7"))


MODULE = """
from durable_saga import Saga, Step, saga, step

@step
def reserve() -> None: ...

@saga
async def good() -> None:
    await reserve()

class Wrong(Saga):
    name = "wrong"

    def define(self):
        raise KeyError("CATALOGUE_URL")

class Needs(Saga):
    name = "needs"

    def __init__(self, service): ...

    def define(self):
        return [Step("a", lambda context: None)]

class Fine(Saga):
    name = "fine"

    def define(self):
        return [Step("a", lambda context: None)]
"""


def test_r4_a_table_that_is_wrong_fails_alone(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "half_wrong.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert [function_of(one).definition.name for one in find_sagas("half_wrong")] == ["good", "fine"]
    told = capsys.readouterr().err
    assert "left out" in told
    assert "define() of Wrong failed: KeyError: 'CATALOGUE_URL'" in told
    assert "Needs() can't be made without arguments" in told
    with pytest.raises(click.ClickException, match="define\\(\\) of Wrong failed"):
        find_sagas("half_wrong:Wrong")
    module = sys.modules["half_wrong"]
    runner = SagaTestRunner()
    runner.mock_step("reserve", lambda: None)
    assert asyncio.run(runner.run(module.good)).status == "completed"
    with pytest.raises(DefinitionError, match="CATALOGUE_URL"):
        asyncio.run(SagaTestRunner().run(module.Wrong, {}))


class Approval(Saga):
    """Goes on with what the event says, or unwinds."""

    name = "approval"

    def define(self) -> list[SagaStep]:
        return [Step("a", act, undo), WaitForEvent("wait", event="decided")]

    async def handle_event(self, event: str, data: Any, saga_id: str) -> None:
        if data == "no":
            await self.compensate("refused")
        else:
            await self.resume("wait", data)


class PlainHandler(Approval):
    name = "plain_handler"

    def handle_event(self, event: str, data: Any, saga_id: str) -> None:  # type: ignore[override]
        self.compensate("refused") if data == "no" else self.resume("wait", data)


@pytest.mark.parametrize("kind", [Approval, PlainHandler])
@pytest.mark.parametrize(("data", "status"), [("yes", "completed"), ("no", "compensated")])
def test_e2_resume_and_compensate_may_be_awaited_or_not(kind: Any, data: str, status: str) -> None:
    runner = SagaTestRunner()
    runner.publish("decided", data)
    result = asyncio.run(runner.run(kind, {}))
    assert result.status == status, result.error
    assert "CompensationRequested: refused" in (result.error or "CompensationRequested: refused")


@step(retry=Retry(max_attempts=1))
def fails() -> None:
    raise ValueError("no")


@saga
async def unwinds() -> None:
    await fails()


@saga
async def ends_well() -> None: ...


def test_r7_to_compensate_what_is_undone_already_is_no_error() -> None:
    async def main() -> None:
        async with SagaManager("memory:") as manager, SagaOrchestrator(manager) as orchestrator:
            orchestrator.register(unwinds)
            orchestrator.register(ends_well)
            await orchestrator.start(unwinds, id="u")
            with pytest.raises(SagaFailed):
                await orchestrator.result("u")
            found = await orchestrator.get_saga("u")
            assert not found.can_recover()
            assert not found.can_compensate()
            await orchestrator.compensate("u")
            await orchestrator.start(ends_well, id="w")
            await orchestrator.result("w")
            with pytest.raises(AlreadyEnded, match="COMPLETED"):
                await orchestrator.compensate("w")

    asyncio.run(main())
