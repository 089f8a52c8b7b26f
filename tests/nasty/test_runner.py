"""The table in SagaTestRunner."""

from __future__ import annotations

import asyncio
import pathlib
import re
from typing import Any

import pytest

from durable_saga.errors import DurableSagaError
from durable_saga.testing import SagaTestRunner
from tests.nasty import ledger
from tests.nasty.attempts import REFUSED
from tests.nasty.entry import Entry
from tests.nasty.judge import Seen, judge
from tests.nasty.pending import RUNNER, WORKERS
from tests.nasty.table import BY_NAME, ENTRIES

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of libraries that are imported for their exceptions


def params() -> list[Any]:
    """Those that can be played here."""
    found = []
    for entry in ENTRIES:
        if not entry.runner:
            reason = RUNNER.get(entry.name)
            marks = [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
            found.append(pytest.param(entry, id=entry.name, marks=marks))
    return found


@pytest.mark.parametrize("entry", params())
@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_what_a_user_may_write_comes_out_right_in_the_runner(
    entry: Entry, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "ledger"
    monkeypatch.setenv(ledger.PLACE, str(place))
    runner = SagaTestRunner()
    for told in entry.told:
        assert told.verb == "signal", f"{entry.name}: the runner has no {told.verb}"
        runner.publish(told.name, *told.args)
    if entry.status == "blocked":
        with pytest.raises(DurableSagaError, match=re.escape(entry.words)):
            asyncio.run(runner.run(entry.saga, *entry.args))
        return
    try:
        result = asyncio.run(runner.run(entry.saga, *entry.args))
    except (SystemExit, GeneratorExit, asyncio.CancelledError) as error:
        pytest.fail(f"it ended the runner: {error!r}")
    seen = Seen(
        entry, result.status, result.overview.blocked, result._events, ledger.rows(place), result.value, result.state,
        result.error or "",
    )  # fmt: skip
    wrong = judge(seen)
    assert not wrong, wrong


def test_the_table_is_as_long_as_it_should_be() -> None:
    assert len(ENTRIES) + len(REFUSED) >= 120
    assert len(BY_NAME) == len(ENTRIES), "a name stands twice"
    assert RUNNER.keys() | WORKERS.keys() <= BY_NAME.keys(), "what is pending is in the table"
