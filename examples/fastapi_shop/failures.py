"""Errors of the engine as HTTP statuses, in one table: routes raise nothing of their own for them."""

from __future__ import annotations

import math

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from durable_saga import errors

STATUSES: dict[type[errors.ClientError], int] = {
    errors.NotFound: 404,
    errors.AlreadyStarted: 409,  # this id has other arguments: the caller made a mistake
    errors.AlreadyEnded: 409,
    errors.InvalidArgument: 422,
    errors.NotAllowed: 500,  # it is this service that the server does not let in, not its caller
    errors.Exhausted: 503,
    errors.Unavailable: 503,  # nothing was acknowledged: the same request may be sent again
}
RETRY_AFTER_SECONDS = 2
"""For what may be sent again and says no time of its own."""


def answer(_: Request, error: Exception) -> JSONResponse:
    """The most special class of the table decides; what has none is 500."""
    status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)
    headers = {}
    if status == 503:
        seconds = error.retry_after if isinstance(error, errors.Exhausted) else None
        headers["Retry-After"] = str(math.ceil(seconds or RETRY_AFTER_SECONDS))
    told = str(error) if status < 500 else type(error).__name__  # what is wrong in here is for the log
    return JSONResponse({"error": told}, status, headers)


def install(app: FastAPI) -> None:
    app.add_exception_handler(errors.ClientError, answer)
