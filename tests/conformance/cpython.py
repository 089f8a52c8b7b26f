"""Plays CPython's own tests of asyncio, as this interpreter ships them: on asyncio, or each as a saga.

`python -m tests.conformance.cpython asyncio|saga OUT.json MODULE...` writes {test: {"outcome", "why", "digest"}}.
Classes that differ from another only in asyncio's own task or future (pure Python, C,
subclasses) are played once: a saga has but one.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import inspect
import io
import json
import logging
import pathlib
import sys
import unittest
import warnings
from collections.abc import Iterator
from inspect import signature
from typing import Any
from unittest import mock

from tests.conformance.acting import in_saga
from tests.conformance.stage import Stage

MODULES = ("test_tasks", "test_taskgroups", "test_timeouts", "test_waitfor", "test_locks", "test_queues", "test_futures")
OF_OTHER_TASKS = ("Py", "CTaskSubclass_", "CTask_PyFuture_", "CTask_CFuture_Subclass", "CTask_Future_", "CSubFuture")
"""How the names of such classes begin."""


def cases(module: Any) -> Iterator[unittest.TestCase]:
    for name, kind in sorted(vars(module).items()):
        is_test = inspect.isclass(kind) and issubclass(kind, unittest.TestCase) and kind.__module__ == module.__name__
        if is_test and not name.startswith(OF_OTHER_TASKS):
            for method in unittest.defaultTestLoader.getTestCaseNames(kind):
                yield kind(method)


def name_of(case: unittest.TestCase) -> str:
    return ".".join(case.id().split(".")[-3:])


# --- on asyncio ----------------------------------------------------------------------------------------------------------


def on_asyncio(case: unittest.TestCase) -> dict[str, str]:
    result = unittest.TestResult()
    case.run(result)
    wrong = [*result.errors, *result.failures]
    outcome = "fail" if wrong else "skip" if result.skipped else "pass"
    return {"outcome": outcome, "why": wrong[0][1].strip().splitlines()[-1] if wrong else ""}


# --- in a saga -----------------------------------------------------------------------------------------------------------


async def _play(kind: type[unittest.TestCase], method: str) -> None:
    case = kind(method)
    await (_play_async(case) if isinstance(case, unittest.IsolatedAsyncioTestCase) else _play_sync(case))


async def _play_async(case: unittest.IsolatedAsyncioTestCase) -> None:
    try:
        case.setUp()
        await case.asyncSetUp()
        try:
            test = getattr(case, case._testMethodName)
            await (test() if inspect.iscoroutinefunction(test) else _play_between(test))
        finally:
            await case.asyncTearDown()
            case.tearDown()
    finally:
        while case._cleanups:  # type: ignore[attr-defined]
            function, args, kwargs = case._cleanups.pop()  # type: ignore[attr-defined]
            if inspect.isawaitable(done := function(*args, **kwargs)):
                await done


async def _play_between(test: Any) -> None:
    """One that is no coroutine runs while no loop does."""
    stage = Stage(asyncio.get_running_loop())
    with mock.patch("asyncio.get_event_loop", stage.drivable):
        await stage.play(test)


async def _play_sync(case: Any) -> None:
    stage = Stage(asyncio.get_running_loop())
    case.new_test_loop = stage.new_test_loop
    case.set_event_loop = lambda loop, cleanup=True: asyncio.set_event_loop(None)
    case.close_loop = lambda loop: None
    for name in ("new_task", "new_future", "_new_future"):
        if (makes := getattr(case, name, None)) is not None:
            setattr(
                case, name, functools.partial(_make, case, asyncio.Task if "task" in name else asyncio.Future, signature(makes))
            )
    with mock.patch("asyncio.new_event_loop", stage.drivable):
        await stage.play(functools.partial(_as_unittest, case, stage))


def _make(case: Any, kind: Any, of_the_test: Any, *args: Any, loop: Any = None, **kwargs: Any) -> Any:
    """A task or future as saga code gets it. The tests have three ways to say of which loop."""
    if "loop" in of_the_test.parameters and args:
        loop, *args = args  # type: ignore[assignment]
    elif loop is None and "kwargs" not in of_the_test.parameters:
        loop = case.loop
    if kind is asyncio.Task:
        kwargs.update(zip(("name", "context"), args[1:], strict=False))
        args = args[:1]
    return kind(*args, loop=loop, **kwargs)


def _as_unittest(case: unittest.TestCase, stage: Stage) -> None:
    wrong: BaseException | None = None
    case.setUp()
    stage.is_set_up()
    try:
        getattr(case, case._testMethodName)()
        stage.check_times()
    except BaseException as error:
        wrong = error
    case.tearDown()  # outside of any `except`, which it looks for
    case.doCleanups()
    if wrong is not None:
        raise wrong


def main(mode: str, out: str, *modules: str) -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    found = {}
    for name in modules or MODULES:
        module = importlib.import_module(f"test.test_asyncio.{name}")
        gc.freeze()  # some collect garbage a hundred times
        for case in cases(module):
            with contextlib.redirect_stderr(io.StringIO()):
                found[name_of(case)] = (
                    on_asyncio(case)
                    if mode == "asyncio"
                    else in_saga(functools.partial(_play, type(case), case._testMethodName))
                )
            asyncio.events._set_running_loop(None)
    pathlib.Path(out).write_text(json.dumps(found, indent=0))


if __name__ == "__main__":
    main(*sys.argv[1:])
