"""Messages and journaled values as people read them: JSON, with the user's payloads decoded. Never fails on what a journal
holds: a payload that can't be decoded is shown as the sentence that says so."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict

from durable_saga import codec
from durable_saga.errors import DecodeError
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb.payloads import is_missing

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def value_of(payload: p.Payload) -> Any:
    """None for an empty payload, a sentence for one that is only referred to."""
    if is_missing(payload):
        return f"a value of {payload.size:,} bytes"
    if payload.HasField("seal"):
        return f"sealed with the key {payload.seal.key}"
    try:
        return codec.decode(payload.data) if payload.data else None
    except DecodeError as error:
        return f"not readable: {error}"


def as_json(value: Any, *, indent: int | None = None) -> str:
    """JSON; for what JSON has no form of, as Python writes it."""
    try:
        return json.dumps(value, default=_shown, ensure_ascii=False, indent=indent)
    except (TypeError, ValueError, RecursionError):  # a key that is no string, a value that holds too many others
        pass
    try:
        return repr(value)
    except RecursionError:
        return "a value that is nested too deeply to be shown"


def _shown(value: Any) -> Any:
    return list(value) if isinstance(value, set | frozenset) else str(value)


def printable(text: str) -> str:
    """What a terminal would obey instead of showing it (colours, titles, the clipboard, the direction of writing) stands
    there as its number, in a form that JSON reads; new lines and tabs stay."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def as_dict(message: Any) -> dict[str, Any]:
    """A message as JSON shows it; user payloads are decoded."""
    found: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    _decode_payloads(message, found)
    return found


def _decode_payloads(message: Any, found: dict[str, Any]) -> None:
    for field, value in message.ListFields():
        if field.message_type is None or field.name not in found:
            continue
        if field.message_type.name == "Payload":
            found[field.name] = value_of(value)
        elif isinstance(value, Mapping):
            if field.message_type.fields_by_name["value"].message_type is None:
                continue  # texts: they stand there already
            found[field.name] = {key: value_of(one) for key, one in value.items()}
        elif isinstance(found[field.name], list):
            for inner, shown in zip(value, found[field.name], strict=True):
                _decode_payloads(inner, shown)
        else:
            _decode_payloads(value, found[field.name])
