"""The error that a status of the service, of gRPC's names, means to a caller."""

from __future__ import annotations

from durable_saga import errors

_ERRORS: dict[str, type[errors.ClientError]] = {
    "NOT_FOUND": errors.NotFound,
    "INVALID_ARGUMENT": errors.InvalidArgument,
    "FAILED_PRECONDITION": errors.AlreadyEnded,
    "ALREADY_EXISTS": errors.AlreadyStarted,
    "PERMISSION_DENIED": errors.NotAllowed,
    "UNAUTHENTICATED": errors.NotKnown,
}


def error_for(code: str, message: str, retry_after_ms: int = 0) -> errors.ClientError:
    """The error that a status of the service means to a caller."""
    if code == "UNIMPLEMENTED":
        message = f"the server does not know this call: it is older than this client, so upgrade the servers first ({message})"
    if code == "RESOURCE_EXHAUSTED":
        return errors.Exhausted(message, retry_after_ms / 1000 or None)
    return _ERRORS.get(code, errors.Unavailable)(message)
