"""What a caller is told: a gRPC status name and a sentence."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from durable_saga.pb.payloads import ATTRIBUTE_CHARACTERS_MAX, ATTRIBUTE_NAME_CHARACTERS_MAX, ATTRIBUTES_PER_RUN_MAX
from durable_saga.telemetry.tracing import CARRIED_BYTES_MAX, size_of
from durable_saga_server.journal import InboxFull, JournalDamaged, JournalError, JournalFull

P = ParamSpec("P")
R = TypeVar("R")
Request = TypeVar("Request")
RETRY_AFTER = "retry-after-ms"
INBOX_RETRY_MS = 1_000
"""By then a saga that is at work has read some of its messages."""
BUSY_RETRY_MS = 300
"""By then a server has written some of what it was told; clients wait for it by themselves."""
FULL_RETRY_MS = 30_000
"""By then a person may have made room."""
CARRIED_VALUES_BYTES_TAKEN_MAX = 8 * 1024
"""Of carried values as they arrive, sealed perhaps."""
MESSAGE_CHARACTERS_MAX = 4_000
"""Of what a caller is told: with gRPC it goes into a header, which has 8 KiB."""


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
        except JournalDamaged as error:
            raise ServiceError("DATA_LOSS", str(error)) from error
        except JournalError as error:
            raise ServiceError("UNAVAILABLE", str(error)) from error

    return guarded


def check_name(what: str, name: str, characters_max: int) -> None:
    if not 1 <= len(name) <= characters_max:
        raise ServiceError("INVALID_ARGUMENT", f"the {what} has {len(name)} characters; 1 to {characters_max} are allowed")
    if not name.isprintable():
        raise ServiceError("INVALID_ARGUMENT", f"the {what} {name!r} has characters that can't be printed")


def check_attributes(attributes: Mapping[str, str]) -> None:
    """The search attributes of a start or a listing."""
    if len(attributes) > ATTRIBUTES_PER_RUN_MAX:
        raise ServiceError(
            "INVALID_ARGUMENT",
            f"{len(attributes)} search attributes are too many: ATTRIBUTES_PER_RUN_MAX is {ATTRIBUTES_PER_RUN_MAX}",
        )
    for name, text in attributes.items():
        check_name("name of a search attribute", name, ATTRIBUTE_NAME_CHARACTERS_MAX)
        if not 1 <= len(text) <= ATTRIBUTE_CHARACTERS_MAX:
            raise ServiceError(
                "INVALID_ARGUMENT",
                f"search attribute {name} has {len(text)} characters; 1 to {ATTRIBUTE_CHARACTERS_MAX} are allowed",
            )


def carried_in(request: Any) -> dict[str, Any]:
    """What a start or message carries, as fields of its event. Raises ServiceError."""
    if (size := size_of(request.carried)) > CARRIED_BYTES_MAX:
        raise ServiceError("INVALID_ARGUMENT", f"what is carried has {size} bytes; at most {CARRIED_BYTES_MAX} can be")
    found: dict[str, Any] = {"carried": request.carried}
    if request.HasField("carried_values"):
        found["carried_values"] = values = request.carried_values
        if (size := values.ByteSize()) > CARRIED_VALUES_BYTES_TAKEN_MAX:
            raise ServiceError(
                "INVALID_ARGUMENT", f"carried values have {size} bytes; at most {CARRIED_VALUES_BYTES_TAKEN_MAX} can be"
            )
    return found


def check_payload(data: bytes, bytes_max: int) -> None:
    if len(data) > bytes_max:
        raise ServiceError(
            "INVALID_ARGUMENT",
            f"the payload has {len(data)} bytes, payload_bytes_max is {bytes_max}: keep the value elsewhere and pass its key",
        )


class Admission:
    """Bounds the calls that write. Beyond `calls_max`, a call is refused before it has done anything."""

    def __init__(self, calls_max: int) -> None:
        self._calls_max = calls_max
        self._under_way = 0

    def admitted(self, call: Callable[[Request], Awaitable[R]]) -> Callable[[Request], Awaitable[R]]:
        async def admitted(request: Request) -> R:
            if self._under_way >= self._calls_max:
                words = f"calls_at_once_max ({self._calls_max}) starts and messages are being written: try again"
                raise ServiceError("RESOURCE_EXHAUSTED", words, retry_after_ms=BUSY_RETRY_MS)
            self._under_way += 1
            try:
                return await call(request)
            finally:
                self._under_way -= 1

        return admitted
