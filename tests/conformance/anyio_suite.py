"""Plays anyio's own tests, from its source distribution: on asyncio, or each as a saga.

`python -m tests.conformance.anyio_suite asyncio|saga OUT.json FOLDER` writes {test: {"outcome", "why", "digest"}}. Those of
coroutines with asyncio as their backend, but for files, sockets, processes and threads.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import pathlib
import sys
from typing import Any

import pytest
from anyio._backends import _asyncio as backend

from tests.conformance.acting import in_saga

MODULES = (
    "test_taskgroups", "test_synchronization", "test_lowlevel", "test_functools", "test_futures", "test_itertools",
    "test_contextmanagers", "test_concurrency_utils", "test_eventloop", "test_debugging", "streams/test_memory",
    "streams/test_buffered", "streams/test_stapled", "streams/test_text",
)  # fmt: skip
BACKEND = ("asyncio", {"debug": True})


class Playing:
    """A plugin of pytest's: how each test ended."""

    def __init__(self, *, in_sagas: bool) -> None:
        self.found: dict[str, dict[str, str]] = {}
        self._digests: dict[str, str] = {}
        self._now = ""
        if in_sagas:
            backend.TestRunner.run_test = self._run_test  # type: ignore[assignment, method-assign]

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [item for item in items if self._is_ours(item)]

    def pytest_runtest_setup(self, item: Any) -> None:
        self._now = item.nodeid

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != "passed":
            crash = getattr(report.longrepr, "reprcrash", None)
            why = crash.message.splitlines()[0] if crash is not None and report.outcome == "failed" else ""
            outcome = {"passed": "pass", "failed": "fail", "skipped": "skip"}[report.outcome]
            self.found[report.nodeid] = {"outcome": outcome, "why": why, "digest": self._digests.get(report.nodeid, "")}

    @staticmethod
    def _is_ours(item: Any) -> bool:
        callspec = getattr(item, "callspec", None)
        is_coroutine = inspect.iscoroutinefunction(item.function)
        return callspec is not None and is_coroutine and callspec.params.get("anyio_backend") == BACKEND

    def _run_test(self, function: Any, kwargs: dict[str, Any]) -> None:
        ended = in_saga(functools.partial(function, **kwargs))
        self._digests[self._now] = ended["digest"]
        if ended["outcome"] == "skip":
            pytest.skip(ended["why"])
        if ended["outcome"] != "pass":
            raise AssertionError(f"{ended['outcome']}: {ended['why']}")


def main(mode: str, out: str, folder: str) -> None:
    for name in [name for name in sys.modules if f"{name}.".startswith("tests.")]:
        del sys.modules[name]  # anyio's have that name too
    sys.path[:] = [place for place in sys.path if pathlib.Path(place or ".").resolve() != pathlib.Path.cwd()]
    os.chdir(folder)
    playing = Playing(in_sagas=mode == "saga")
    options = [
        "-q",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]
    pytest.main([*options, *[f"tests/{module}.py" for module in MODULES]], plugins=[playing])
    pathlib.Path(out).write_text(json.dumps(playing.found, indent=0))


if __name__ == "__main__":
    main(*sys.argv[1:])
