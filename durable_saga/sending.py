"""A signal before it is sent: its name, and whether its handler can take its arguments, where that handler is known here.

A name that no handler has is not refused: the saga may wait for it with `event()` or `signal()`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from durable_saga import codec
from durable_saga.errors import DecodeError, InvalidArgument
from durable_saga.saga import SIGNAL_NAME

Handlers = Mapping[str, Callable[..., Any]]


def checked_signal(signal: str | Callable[..., Any], args: Sequence[Any], handlers: Handlers) -> tuple[str, bytes]:
    """Its name and its arguments as bytes. Raises InvalidArgument, and NotSerializable."""
    if isinstance(signal, str):
        name, handler = signal, handlers.get(signal)
    else:
        name, handler = getattr(signal, SIGNAL_NAME, ""), signal
        if not name:
            raise InvalidArgument(
                f"{signal!r} is no handler of a signal: declare it with @saga_function.signal, or give a name"
            )
    data = codec.encode_call(args, {}, where=f"signal {name}")
    if handler is not None:
        try:
            signature = inspect.signature(handler, eval_str=True)
            given, _ = codec.decode_call(data, signature)
            signature.bind(*given)
        except (DecodeError, TypeError) as error:
            raise InvalidArgument(f"the handler of signal {name!r} can't take this: {error}") from error
    return name, data
