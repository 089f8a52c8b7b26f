"""Lines of the log as text and as JSON: one a record, with the saga that it is about."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from durable_saga.cli.logs import FIELDS_MAX, STACK_CHARACTERS_MAX, VALUE_CHARACTERS_MAX, JsonLines, OneLine
from durable_saga.pb.history_pb2 import RunKey
from durable_saga.pb.log_fields import about

KEY = RunKey(namespace="n", saga="o 1]", run=2)


def record(text: str, *args: Any, **fields: Any) -> logging.LogRecord:
    return logging.getLogger("shop").makeRecord("shop", logging.WARNING, "a.py", 1, text, args, None, extra=fields)


def as_json(one: logging.LogRecord) -> dict[str, Any]:
    text = JsonLines().format(one)
    assert text.isascii()
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_json_holds_the_words_and_the_fields_that_apply() -> None:
    found = as_json(record("paid %s", 7, **about(KEY, "order", "charge", 3)))
    at = found.pop("time")
    assert at.endswith("Z")
    assert len(at) == len("2026-11-29T03:21:16.123Z")
    assert found == {
        "level": "WARNING", "logger": "shop", "message": "paid 7", "saga": "o 1]", "run": 2, "saga_type": "order",
        "step": "charge", "attempt": 3,
    }  # fmt: skip
    assert "step" not in as_json(record("x", **about(KEY, "order")))
    assert not {"saga", "run", "step"} & as_json(record("x")).keys()


def test_json_keeps_what_a_user_adds_and_never_fails_on_it() -> None:
    class Odd:
        def __str__(self) -> str:
            raise ValueError("no")

    found = as_json(record("x", order={1: 2}, ok=True, nothing=None, rate=float("nan"), odd=Odd(), level="mine", half="\ud800"))
    assert found["order"] == "{1: 2}"
    assert (found["ok"], found["nothing"], found["rate"]) == (True, None, "nan")
    assert found["odd"] == "(Odd can't be shown: ValueError)"
    assert (found["level"], found["level_"]) == ("WARNING", "mine")
    assert found["half"] == "\ud800"


def test_json_is_bounded() -> None:
    found = as_json(record("x", long="a" * 10_000, **{f"f{number}": number for number in range(100)}))
    assert found["long"].startswith("a" * VALUE_CHARACTERS_MAX + " … ")
    assert len(found) <= FIELDS_MAX + 4
    try:
        raise ValueError("a" * 100_000)
    except ValueError:
        one = logging.makeLogRecord({"msg": "x", "exc_info": sys.exc_info()})
    found = as_json(one)
    assert found["error"] == "builtins.ValueError"
    assert len(found["stack"]) == STACK_CHARACTERS_MAX


def test_arguments_that_do_not_fit_are_said_in_the_line() -> None:
    assert as_json(record("a %d", "b"))["message"] == "a %d (its arguments do not fit: TypeError)"


def test_text_ends_with_the_saga_and_stays_one_line() -> None:
    text = OneLine("%(levelname)s %(message)s").format(record("it\nfailed", **about(KEY, "order", "charge", 3)))
    assert text == 'WARNING it\\nfailed [saga="o 1]" run=2 saga_type=order step=charge attempt=3]'
    assert OneLine("%(message)s").format(record("x")) == "x"
    evil = RunKey(saga="a\n2026 ERROR \x1b[31mx")
    assert "\n" not in (line := OneLine("%(message)s").format(record("x", **about(evil))))
    assert "\x1b" not in line


@pytest.mark.parametrize("kind", [JsonLines, OneLine])
def test_a_record_may_be_written_by_several_handlers(kind: type[logging.Formatter]) -> None:
    one = record("paid %s", 7, **about(KEY))
    assert kind().format(one)[-30:] == kind().format(one)[-30:]
