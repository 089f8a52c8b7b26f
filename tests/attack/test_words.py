"""Words that a terminal or a log would obey, and a clock that is wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import pathlib
import subprocess
import sys

import pytest

from durable_saga import Worker, connect, saga, sleep, step
from durable_saga.cli import output
from durable_saga.cli.logs import LINE_CHARACTERS_MAX, OneLine
from durable_saga.client.raw import history as history_of
from durable_saga.client.readable import as_json, printable
from durable_saga.pb import client_pb2 as c
from durable_saga.worker.served_clock import CLOCK_OFF_MS_MAX
from tests.attack.hostile import standing

CLIPBOARD = "\x1b]52;c;cm0gLXJm\x07"
TITLE = "\x9d0;owned\x9c"
BACKWARDS = "\u202egpj.exe"


def test_what_a_terminal_obeys_is_shown_as_its_number() -> None:
    assert printable(f"a{CLIPBOARD}b\tc\nd") == "a\\u001b]52;c;cm0gLXJm\\u0007b\tc\nd"
    for text in (CLIPBOARD, TITLE, BACKWARDS, "\r\x7f"):
        shown = printable(text)
        assert shown.replace("\n", "").isprintable()
        assert json.loads(printable(as_json(text))) == text
    assert printable("größer, 例, 🙂") == "größer, 例, 🙂"


def test_a_description_reaches_a_terminal_without_its_escapes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    one = c.Description(status=999, blocked=f"no {CLIPBOARD}", saga_type=TITLE, owner=CLIPBOARD, started_ms=2**62)  # type: ignore[arg-type]
    one.key.saga = f"s{TITLE}"
    one.attributes["a"] = CLIPBOARD
    one.failure.message = CLIPBOARD
    one.steps.add(call="1", name=CLIPBOARD, state=BACKWARDS, last_error=TITLE)
    output.print_description(one)
    told = capsys.readouterr().out
    assert "STATUS_999" in told
    assert not set(told) & set("\x07\x9d\x9c\u202e")
    assert "]52" in told
    assert "\x1b]" not in told


def test_a_line_of_the_log_is_one_line_and_bounded() -> None:
    name = f"w\n2026-01-01 00:00:00,000 ERROR   all is lost{CLIPBOARD}" + "x" * 5_000_000
    record = logging.LogRecord("a", logging.WARNING, "f.py", 1, "worker %s: gone", (name,), None)
    line = OneLine("%(asctime)s %(levelname)-7s %(message)s").format(record)
    assert "\n" not in line
    assert line.isprintable()
    assert len(line) < LINE_CHARACTERS_MAX + 200
    assert "5,000" in line


@step
async def note(text: str) -> str:
    return text


@saga
async def waits_a_moment() -> str:
    await sleep(6.0)
    return await note("done")


class Off:
    """A clock that is days off."""

    def __init__(self, off_ms: int) -> None:
        self._off_ms = off_ms

    def now_ms(self) -> int:
        import time

        return time.time_ns() // 1_000_000 + self._off_ms


@pytest.mark.parametrize("days", [-3, 3])
def test_a_worker_whose_clock_is_days_off_goes_by_the_servers_time(
    tmp_path: pathlib.Path, days: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with standing(tmp_path) as raw, connect(f"127.0.0.1:{raw.server.port}", namespace="n") as client:
            worker = Worker(client, sagas=[waits_a_moment], clock=Off(days * 86_400_000))
            async with worker:
                handle = await client.start(waits_a_moment, id="s")
                assert await handle.result(timeout=30) == "done"
            events = await history_of(handle)
            assert abs(events[-1].time_ms - events[0].time_ms - 6_000) < 5_000
            assert len([event for event in events if event.HasField("timer_fired")]) == 1
            assert (await handle.describe()).epoch < 10, "it was not handed out again and again"

    asyncio.run(scenario())
    assert "this machine's clock is 259" in caplog.text


def test_a_clock_that_is_nearly_right_is_left_alone(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        async with (
            standing(tmp_path) as raw,
            connect(f"127.0.0.1:{raw.server.port}", namespace="n") as client,
            Worker(client, sagas=[waits_a_moment], clock=Off(CLOCK_OFF_MS_MAX // 2)) as worker,
        ):
            while not worker._links._up():
                await asyncio.sleep(0.01)
            assert worker.clock.offset_ms == 0

    asyncio.run(scenario())


def test_a_folder_in_the_place_of_a_journal_is_said_and_not_waited_for(tmp_path: pathlib.Path) -> None:
    words = ["server", "--journal", f"sqlite:///{tmp_path}", "--listen", "127.0.0.1:0"]
    done = subprocess.run([sys.executable, "-m", "durable_saga", *words], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert f"Error: {tmp_path} is a folder, not a journal: name a file" in done.stderr
    assert "Traceback" not in done.stderr
