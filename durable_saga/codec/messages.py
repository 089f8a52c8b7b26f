"""What is sent where the sender knows the function that reads it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from durable_saga.codec.decode import decode_call
from durable_saga.codec.encode import encode_call
from durable_saga.errors import NotSerializable, WrongType


def as_read(data: bytes, args: Sequence[Any], signature: inspect.Signature, *, where: str) -> bytes:
    """`data` (of encode_message()) if it is read as these arguments, else what is written by the signature's annotations. Plain
    data that only its reader makes a model of stays what it is. Raises DecodeError."""
    try:
        written = encode_call(args, {}, where=where, signature=signature)
    except (WrongType, NotSerializable):
        return data
    given, _ = decode_call(data, signature)
    return data if encode_call(given, {}, where=where, signature=signature) == written else written
