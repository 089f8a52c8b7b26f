"""A redaction hook sees every text of a failure and of a log line before it leaves, whole, and hides what it can't judge."""

from __future__ import annotations

import asyncio
import logging
import pathlib
import re
from typing import Any

import pytest

from durable_saga import Retry, Worker, connect, redaction, saga, step
from durable_saga.errors import SagaCompensated, render_failure
from durable_saga.failures.failures import MESSAGE_CHARACTERS_MAX, failure_from_exception
from durable_saga.failures.remade import failure_info
from durable_saga.redaction import hide_secrets

IBAN = "DE75512108001245126199"


def hide(text: str) -> str:
    return re.sub(r"DE\d{20}", "DE…", text)


class Declined(Exception):
    def __init__(self, message: str, iban: str) -> None:
        super().__init__(message, iban)
        self.iban, self.raw, self.code = iban, iban.encode(), f"declined-{iban}"
        self.more = {"of": [iban, {iban}], iban: 1}


def raised() -> BaseException:
    try:
        try:
            raise ValueError("a cause with DE75512108001245126199 in its line and words")
        except ValueError as cause:
            raise ExceptionGroup(f"several {IBAN}", [Declined(f"one {IBAN}", IBAN)]) from cause
    except ExceptionGroup as error:
        error.add_note(f"a note on {IBAN}")
        return error


def test_no_text_of_a_failure_leaves_unseen() -> None:
    assert IBAN in str(failure_from_exception(raised()))
    redaction.use(hide)
    failure = failure_from_exception(raised())
    assert IBAN.encode() not in failure.SerializeToString()
    assert IBAN not in render_failure(failure_info(failure))
    assert failure.message.startswith("several DE…")
    assert failure.members[0].message == "('one DE…', 'DE…')"
    assert failure.members[0].code == "declined-DE…"
    assert "a cause with DE…" in failure.cause.traceback, "the line of code too"


def test_the_hook_sees_a_text_before_it_is_cut() -> None:
    redaction.use(hide)
    before = "x" * (MESSAGE_CHARACTERS_MAX - 10)
    assert failure_from_exception(ValueError(before + IBAN)).message == f"{before}DE…"


@pytest.mark.parametrize("returned", [None, 3, b"text"])
def test_a_hook_that_fails_hides_all(returned: Any) -> None:
    redaction.use(lambda _: returned)
    assert failure_from_exception(ValueError(IBAN)).message == f"(hidden: redact() returned a {type(returned).__name__})"

    def broken(text: str) -> str:
        raise SystemExit(text)

    redaction.use(broken)
    failure = failure_from_exception(raised())
    assert failure.message == "(hidden: redact() raised SystemExit)"
    assert IBAN.encode() not in failure.SerializeToString()


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="redact is 'x'"):
        connect("memory:", redact="x")  # type: ignore[arg-type]


@step(retry=Retry(max_attempts=2, initial=0.01))
def charge(iban: str) -> None:
    logging.getLogger("shop").warning("charging %s", iban)
    try:
        raise Declined(f"declined {iban}", iban)
    except Declined:
        logging.getLogger("shop").exception("it went wrong")
        raise


@step
def reserve(item: str) -> None: ...


@reserve.compensation
def release(item: str) -> None: ...


@saga
async def pays(iban: str) -> str:
    logging.getLogger("shop").info("for %s", iban)
    await reserve("lamp")
    try:
        await charge(iban)
    except Declined as error:
        raise RuntimeError(f"no luck with {iban} ({error.iban})") from error
    return ""


def test_journal_logs_and_saga_code_get_what_the_hook_left(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def scenario() -> None:
        async with connect(f"sqlite:///{tmp_path}/j.db", redact=hide) as client, Worker(client, sagas=[pays]):
            handle = await client.start(pays, IBAN, id="a")
            with pytest.raises(SagaCompensated, match=r"no luck with DE… \(DE…\)"):
                await handle.result()
            failures = [event for event in await handle.history() if "failure" in str(event)]
            assert failures
            assert IBAN not in str(failures)

    asyncio.run(scenario())
    ours = [record for record in caplog.records if record.name.startswith(("durable_saga", "shop"))]
    assert {"charging DE…", "it went wrong", "for DE…"} <= {record.message for record in ours}
    assert any("declined DE…" in str(record.exc_text) for record in ours)
    assert IBAN not in caplog.text
    assert not any(record.exc_info or record.args for record in ours)


def test_a_log_line_that_cant_be_made_is_said_to_be_that_and_others_log_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    redaction.use(hide)
    logging.getLogger("durable_saga.test").warning("%s %s", IBAN)
    logging.getLogger("of.another.library").warning("about %s", IBAN)
    first, second = (record.getMessage() for record in caplog.records)
    assert "can't be made: TypeError" in first
    assert second == f"about {IBAN}"


def test_the_secrets_that_ship_are_those_with_a_name() -> None:
    redaction.use(hide_secrets)
    failure = failure_from_exception(ValueError("postgres://u:p@h/db refused, password=hunter2, Bearer abcdefghijk"))
    assert failure.message == "postgres://…@h/db refused, password=…, Bearer …"


def test_without_a_hook_a_text_is_what_it_is() -> None:
    assert failure_from_exception(ValueError(IBAN)).message == IBAN
