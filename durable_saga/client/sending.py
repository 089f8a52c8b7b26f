"""A signal before it is sent: its name, and whether its handler can take its arguments, where that handler is known here.

A name that no handler has is refused where the code of the saga is here and nothing in it waits for that name
(`waited_names.py`); otherwise it is sent, and the saga's description shows whether it was read.
"""

from __future__ import annotations

import difflib
import getpass
import inspect
from collections.abc import Sequence
from typing import Any, Protocol

from durable_saga import codec
from durable_saga.authoring.event_type import DECLARED, EventType
from durable_saga.authoring.saga import SIGNAL_NAME
from durable_saga.authoring.waited_names import WAITED
from durable_saga.definition.definition import SagaDefinition
from durable_saga.errors import DecodeError, InvalidArgument

SHOWN_CHARACTERS = 40


def text(name: str, value: Any) -> str:
    """Raises InvalidArgument for what is no text (ids and names are never made of something else), and for half a character,
    which no journal can hold."""
    if not isinstance(value, str):
        raise InvalidArgument(f"{name} must be a str, not {value!r} of type {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        shown = ascii(value if len(value) <= SHOWN_CHARACTERS else f"{value[:SHOWN_CHARACTERS]}…")
        raise InvalidArgument(
            f"{name} is {shown}: the character at {error.start} is half of a pair (a lone surrogate), so this isn't text. It"
            " may come from bytes decoded with errors='surrogateescape', or from a text that was cut"
        ) from None
    return value


class SignalHandler(Protocol):
    """A function that handles a signal: `@cart.signal`."""

    __name__: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


def named_event(event: str | EventType[Any], args: Sequence[Any]) -> tuple[str, bytes]:
    """Its name and what it carries as bytes. Raises InvalidArgument, and NotSerializable."""
    if isinstance(event, EventType):
        return event.name, event.encoded(args)
    return text("event", event), codec.encode_message(args, where=f"event {event}")


def checked_signal(
    signal: str | SignalHandler | EventType[Any], args: Sequence[Any], definition: SagaDefinition | None
) -> tuple[str, bytes]:  # fmt: skip
    """Its name and its arguments as bytes. Raises InvalidArgument, and NotSerializable."""
    if isinstance(signal, EventType):
        name, handler = signal.name, definition.handlers.get(signal.name) if definition is not None else None
    elif isinstance(signal, str):
        name = text("signal", signal)
        handler = definition.handlers.get(name) if definition is not None else None
        if handler is None and definition is not None and definition.any_signal is None:
            _check_name(name, definition)
    else:
        name, handler = getattr(signal, SIGNAL_NAME, ""), signal
        if not name:
            raise InvalidArgument(f"{signal!r} isn't a signal handler: declare it with @saga_function.signal, or give a name")
    data = signal.encoded(args) if isinstance(signal, EventType) else codec.encode_message(args, where=f"signal {name}")
    if handler is not None:
        try:
            signature = inspect.signature(handler, eval_str=True)
            given, _ = codec.decode_call(data, signature)
            signature.bind(*given)
            data = codec.as_read(data, args, signature, where=f"signal {name}")
        except (DecodeError, TypeError) as error:
            raise InvalidArgument(f"the handler of signal {name!r} can't take this: {error}") from error
    return name, data


def _check_name(name: str, definition: SagaDefinition) -> None:
    """Raises InvalidArgument."""
    waited = WAITED.others(name)
    if waited is None or name in DECLARED:
        return
    known = sorted({*definition.handlers, *waited, *DECLARED})
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known) or 'none'}"
    raise InvalidArgument(
        f"saga {definition.name!r} has no handler of a signal {name!r}, and no code here waits for one of that name: {hint}"
        " (a handle of client.handle(id), without the saga's code, sends any name)"
    )


def sender() -> str:
    """Who sends, where nobody says it: the user of this process."""
    try:
        return getpass.getuser()
    except OSError:
        return "unknown"


def words(reason: str, who: str | None) -> dict[str, str]:
    """Of what an operator asks for: why, and who asks."""
    return {"reason": text("reason", reason), "who": text("who", who or sender())}
