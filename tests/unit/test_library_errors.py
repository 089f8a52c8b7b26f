"""What a saga gets when a step raises an exception of somebody else's."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from durable_saga import Retry, saga, step
from durable_saga.failures.failures import failure_from_exception, rebuild_exception
from durable_saga.pb import payload_pb2 as p
from durable_saga.testing import SagaTestRunner
from tests.unit.library_errors import ERRORS, raised

CAUGHT_AS = {name: type(raised(name)) for name in ERRORS} | {"pydantic": ValueError, "stop iteration": RuntimeError}
"""One can't be made but by its library; the other one is what Python itself makes of it in a coroutine."""
TEXTS_OF_THE_DAY = ("file", "encode", "tenacity", "stop iteration")
undone: list[str] = []


@step(retry=Retry(max_attempts=1))
async def charge(name: str) -> None:
    raise raised(name)


@charge.compensation
async def refund(name: str) -> None:
    undone.append(name)


@saga
async def catches(name: str) -> str:
    try:
        await charge(name)
    except Exception as error:
        return f"{isinstance(error, CAUGHT_AS[name])} {str(error)!r}"
    return "nothing"


@saga
async def lets_it_pass(name: str) -> None:
    await charge(name)


def again(error: BaseException) -> Any:
    """Through the journal."""
    failure = p.Failure.FromString(failure_from_exception(error).SerializeToString())
    return rebuild_exception(failure, step="charge", call="1")


def test_there_are_enough_of_them() -> None:
    assert len(ERRORS) >= 43


@pytest.mark.parametrize("name", ERRORS)
def test_a_step_that_raises_it_fails_by_its_policy_and_is_undone(name: str) -> None:
    undone.clear()
    result = asyncio.run(SagaTestRunner().run(lets_it_pass, name))
    assert (result.status, undone) == ("compensated", [name])
    assert type(raised(name)).__qualname__ in str(result.error)


@pytest.mark.parametrize("name", ERRORS)
def test_a_saga_catches_its_class_and_reads_its_text(name: str) -> None:
    text = str(raised(name)).encode("utf-8", "backslashreplace").decode()
    value = asyncio.run(SagaTestRunner().run(catches, name)).value
    assert value.startswith("True ")
    if name not in TEXTS_OF_THE_DAY:  # with addresses in them, or surrogates that Python writes in its own way
        assert value == f"True {text!r}"


@pytest.mark.parametrize("name", ERRORS)
def test_what_it_leaves_is_bounded_and_the_same_each_time(name: str) -> None:
    error = raised(name)
    first, second = failure_from_exception(error), failure_from_exception(error)
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)
    assert first.ByteSize() < 100_000
    assert isinstance(again(error), Exception)


@pytest.mark.parametrize(
    ("name", "attributes"),
    {
        "aiohttp response": {"status": 404, "message": "Not Found", "headers": {"Retry-After": "3"}},
        "stripe card": {"code": "card_declined", "http_status": 402, "param": "number", "user_message": "declined"},
        "fastapi": {"status_code": 503, "detail": {"why": "busy"}, "headers": {"Retry-After": "3"}},
        "called process": {"returncode": 1, "cmd": ["false"]},
        "pymongo": {"code": 11000, "details": {"keyValue": {"a": 1}}},
        "asyncpg": {"sqlstate": "23505"},
        "unicode": {"encoding": "utf-8", "object": b"\xff", "start": 0, "end": 1, "reason": "invalid start byte"},
        "refused": {"errno": 111, "strerror": "refused"},
        "cross device": {"errno": 18, "filename": "a", "filename2": "b"},
        "json": {"pos": 1, "lineno": 1},
        "incomplete read": {"partial": b"ab", "expected": 4},
        "import": {"name": "thing", "path": "thing.py"},
        "syntax": {"filename": "f.py", "lineno": 1},
    }.items(),
)
def test_its_attributes_come_along(name: str, attributes: dict[str, Any]) -> None:
    error = again(raised(name))
    assert {key: getattr(error, key) for key in attributes} == attributes


def test_what_hangs_on_it_comes_along() -> None:
    assert again(raised("grpc")).code() is grpc.StatusCode.UNAVAILABLE
    assert again(raised("grpc sync")).code() is grpc.StatusCode.UNAVAILABLE
    assert again(raised("requests status")).response.status_code == 404
    assert again(raised("botocore client")).response["Error"]["Code"] == "Throttling"
    orig = again(raised("sqlalchemy integrity")).orig
    assert (type(orig).__name__, orig.sqlite_errorname) == ("IntegrityError", "SQLITE_CONSTRAINT_UNIQUE")
    members = again(raised("group")).exceptions
    assert [(type(one), str(one)) for one in members] == [
        (ValueError, "a"), (ConnectionRefusedError, "[Errno 111] refused"),
    ]  # fmt: skip


def test_what_is_missing_is_said() -> None:
    failure = failure_from_exception(raised("aiohttp response"))
    assert "not kept: args[0]" in failure.notes[0]
    with pytest.raises(AttributeError, match=r"has no 'request_info' here \(not kept"):
        _ = again(raised("aiohttp response")).request_info
    with pytest.raises(AttributeError, match=r"'headers' of this requests\.models\.Response is not kept"):
        _ = again(raised("requests status")).response.headers
