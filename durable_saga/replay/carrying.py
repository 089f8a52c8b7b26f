"""Carried context: values of ContextVars that go with a start or a message into saga code, steps and compensations.

They stand in the history with the start, so a replay has the same ones. Whoever reads them has a copy of its own, so that
nobody changes what others read. What a message carries holds in its handler, and for the steps that are called there.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

from durable_saga import codec
from durable_saga.errors import LimitExceeded, NotSerializable

CARRIED_VALUES_BYTES_MAX = 4 * 1024
"""Of all values that one start or message carries, with their names."""
of_message: ContextVar[bytes] = ContextVar("durable_saga_of_message", default=b"")
"""In a handler: what its message carries."""


class Carry:
    """The ContextVars that a client or worker carries, by name. Raises TypeError for anything else, ValueError for two of one
    name."""

    def __init__(self, variables: Iterable[ContextVar[Any]] | ContextVar[Any] = ()) -> None:
        self._variables: dict[str, ContextVar[Any]] = {}
        for one in [variables] if isinstance(variables, ContextVar) else variables:
            if not isinstance(one, ContextVar):
                raise TypeError(f"carry holds {one!r}: give ContextVars, such as carry=[user]")
            if self._variables.setdefault(one.name, one) is not one:
                raise ValueError(f"carry holds two ContextVars named {one.name!r}: they are told apart by their names")

    def taken(self) -> bytes:
        """What is set here, encoded; b"": nothing. Raises NotSerializable, and LimitExceeded."""
        if not self._variables:
            return b""
        here = contextvars.copy_context()
        values = {name: here[one] for name, one in self._variables.items() if one in here}
        for name, value in values.items():
            again = codec.decode(codec.encode(value, where=f"carried {name}"), Any, where=f"carried {name}")
            if type(again) is not type(value) or again != value:
                raise NotSerializable(
                    f"the ContextVar {name} is carried, and holds a {type(value).__name__}, which no annotation says how to"
                    " read: set plain data, such as a text, a number, a dict or a list"
                )
        data = codec.encode(values, where="carried values") if values else b""
        if len(data) > CARRIED_VALUES_BYTES_MAX:
            raise LimitExceeded(
                "CARRIED_VALUES_BYTES_MAX", len(data),
                f"the ContextVars {', '.join(values)} together are longer than {CARRIED_VALUES_BYTES_MAX} bytes: carry a key,"
                " and look up the rest in a step",
            )  # fmt: skip
        return data

    def bind(self, *carried: bytes) -> None:
        """Set what was taken, in this context; the last counts. Raises DecodeError."""
        for data in filter(None, carried):
            for name, value in codec.decode(data, Any, where="carried values").items():
                if (one := self._variables.get(name)) is not None:
                    one.set(value)

    def context(self, start: bytes, message: bytes = b"") -> contextvars.Context | None:
        """Of saga code that begins now; None: that of its caller. Raises DecodeError."""
        if not self._variables or not (start or message):
            return None
        context = contextvars.copy_context()
        context.run(self.bind, start, message)
        if message:
            context.run(of_message.set, message)
        return context


NOTHING_CARRIED = Carry()
