"""What a caller is told: a gRPC status name and a sentence."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from durable_saga_server.journal import InboxFull, JournalError, JournalFull

P = ParamSpec("P")
R = TypeVar("R")
RETRY_AFTER = "retry-after-ms"
INBOX_RETRY_MS = 1_000
"""By then a saga that is at work has read some of its messages."""
FULL_RETRY_MS = 30_000
"""By then a person may have made room."""


class ServiceError(Exception):
    """`code` is the name of a gRPC status: NOT_FOUND, INVALID_ARGUMENT, FAILED_PRECONDITION, … `retry_after_ms`: after this
    the same call may succeed; 0: nothing is known."""

    def __init__(self, code: str, message: str, *, retry_after_ms: int = 0) -> None:
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms
        super().__init__(f"{code}: {message}")


def guard_journal(method: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """A journal's error becomes a status: what was not acknowledged may be sent again."""

    @functools.wraps(method)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await method(*args, **kwargs)
        except InboxFull as error:
            raise ServiceError("RESOURCE_EXHAUSTED", str(error), retry_after_ms=INBOX_RETRY_MS) from error
        except JournalFull as error:
            raise ServiceError("RESOURCE_EXHAUSTED", str(error), retry_after_ms=FULL_RETRY_MS) from error
        except JournalError as error:
            raise ServiceError("UNAVAILABLE", str(error)) from error

    return guarded


def check_name(what: str, name: str, characters_max: int) -> None:
    if not 1 <= len(name) <= characters_max:
        raise ServiceError("INVALID_ARGUMENT", f"the {what} has {len(name)} characters; 1 to {characters_max} are allowed")
    if not name.isprintable():
        raise ServiceError("INVALID_ARGUMENT", f"the {what} {name!r} has characters that can't be printed")


def check_payload(data: bytes, bytes_max: int) -> None:
    if len(data) > bytes_max:
        raise ServiceError(
            "INVALID_ARGUMENT",
            f"the payload has {len(data)} bytes, payload_bytes_max is {bytes_max}: keep the value elsewhere and pass its key",
        )
