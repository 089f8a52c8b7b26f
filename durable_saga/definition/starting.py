"""The arguments of a start, checked where it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from durable_saga import codec
from durable_saga.definition.definition import Definition
from durable_saga.errors import DecodeError, InvalidArgument, WrongType


def check_start(definition: Definition, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
    """The arguments as bytes. Raises TypeError, NotSerializable, and InvalidArgument for what is not as annotated."""
    what, signature = f"saga {definition.name}", definition.signature
    signature.bind(*args, **kwargs)
    try:
        data = codec.encode_call(args, kwargs, where=what, signature=signature, function=definition.function)
        codec.decode_call(data, signature)
    except (DecodeError, WrongType) as error:
        why = str(error).removeprefix(f"{what}: ")
        raise InvalidArgument(f"{what} can't be started with this: {why}") from error
    return data
