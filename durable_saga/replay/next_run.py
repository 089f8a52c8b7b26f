"""How the code of a run leaves it for the next one."""

from __future__ import annotations


class ContinueAsNew(BaseException):
    """Takes the saga's code to its end. Not an error, so not for `except Exception`."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        super().__init__("continue_as_new")


def next_run_asked_in(error: BaseException | None) -> bytes | None:
    """The arguments of the next run, if that is why the saga's code ended; task groups pass it on in a group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error.data if isinstance(error, ContinueAsNew) else None
