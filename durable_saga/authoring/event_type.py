"""An event with its type: one object that the saga waits for and that its senders name, so that a wrong name is an error of the
program, and a value of another type is refused before it is sent. On the wire and in journals it is its name; sagas and senders
that give the name as a text go with those that give this.
"""

from __future__ import annotations

import inspect
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import Any, Generic, TypeVar, overload

from durable_saga import codec
from durable_saga.authoring.inside import event
from durable_saga.errors import DecodeError, InvalidArgument, LimitExceeded, NotSerializable, WrongType
from durable_saga.pb.limits import ID_CHARACTERS_MAX

T = TypeVar("T")
DECLARED: set[str] = set()
"""The names of all that this process has made: a signal of such a name may be waited for."""


class EventType(Generic[T]):
    """Made by `event_type()`."""

    def __init__(self, name: str, type: Any) -> None:
        self.name = name
        self.type = type
        places = [] if type is None else [inspect.Parameter("value", inspect.Parameter.POSITIONAL_ONLY, annotation=type)]
        self._signature = inspect.Signature(places)
        DECLARED.add(name)

    def __call__(self, *, timeout: float | timedelta | None = None) -> Coroutine[Any, Any, T]:
        """The same as `wait()`."""
        return self.wait(timeout=timeout)

    def wait(self, *, timeout: float | timedelta | None = None) -> Coroutine[Any, Any, T]:
        """Wait in saga code for the next event of this type, as `event()` does. Raises EventTimedOut after `timeout` (seconds
        or a timedelta)."""
        return event(self.name, timeout=timeout, type=Any if self.type is None else self.type)

    def encoded(self, args: Sequence[Any]) -> bytes:
        """What is sent. Raises InvalidArgument for what is not of its type, and NotSerializable."""
        what = f"event {self.name!r}"
        if len(args) != len(self._signature.parameters):
            carries = "carries nothing" if self.type is None else f"carries one {_words(self.type)}"
            raise InvalidArgument(f"{what} {carries}, but {len(args)} values were given")
        try:
            data = codec.encode_call(args, {}, where=what, signature=self._signature)
            codec.decode_call(data, self._signature)
        except (DecodeError, WrongType) as error:
            raise InvalidArgument(f"{what} carries {_words(self.type)}: {str(error).removeprefix(f'{what}: ')}") from error
        try:
            return codec.as_read(codec.encode_message(args, where=what), args, self._signature, where=what)
        except (DecodeError, LimitExceeded, NotSerializable):  # only its type says how it is written
            return data

    def __repr__(self) -> str:
        return f"<event {self.name}>"


@overload
def event_type(name: str) -> EventType[None]: ...
@overload
def event_type(name: str, type: type[T]) -> EventType[T]: ...
@overload
def event_type(name: str, type: Any) -> EventType[Any]: ...
def event_type(name: str, type: Any = None) -> EventType[Any]:
    """An event of this name that carries one value of this type: `picked_up = event_type("picked_up", Pickup)`. Without a
    type it carries nothing. In saga code `await picked_up(timeout=60)` is a Pickup. `handle.signal(picked_up, Pickup(...))`
    and `client.publish(picked_up, Pickup(...), saga=…)` send one, and refuse any other value. Raises ValueError for a name
    that is empty or longer than 255 characters, and TypeError for a name that isn't text."""
    if not isinstance(name, str):
        raise TypeError(f"the name of an event must be a str, not {name!r} of type {name.__class__.__name__}")
    if not 1 <= len(name) <= ID_CHARACTERS_MAX:
        raise ValueError(f"the name of an event has {len(name)} characters: give 1 to {ID_CHARACTERS_MAX}")
    return EventType(name, type)


def _words(type: Any) -> str:
    return type.__name__ if inspect.isclass(type) else str(type)
