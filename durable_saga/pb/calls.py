"""The unary calls of the service Sagas by name, with the classes of their messages, and which of them clients put on a stream."""

from __future__ import annotations

from typing import Any

from google.protobuf.message_factory import GetMessageClass

from durable_saga.pb import access_pb2, client_pb2

_METHODS = [one for one in client_pb2.DESCRIPTOR.services_by_name["Sagas"].methods if not one.server_streaming]
_ACCESS = access_pb2.DESCRIPTOR.services_by_name["Access"].methods
REQUESTS: dict[str, Any] = {one.name: GetMessageClass(one.input_type) for one in _METHODS}
ACCESS_REQUESTS: dict[str, Any] = {one.name: GetMessageClass(one.input_type) for one in _ACCESS}
"""Of the service Access."""
REPLIES: dict[str, Any] = {one.name: GetMessageClass(one.output_type) for one in _METHODS}
STREAMED = frozenset((
    "Start", "Signal", "Cancel", "Compensate", "Recover", "Terminate", "Decide", "Publish", "Wait", "Claim", "Pause",
    "Resume", "RetryNow",
))  # fmt: skip
"""Many and small; what may be large would keep those behind it waiting."""
STREAMED_BYTES_MAX = 64 * 1024
"""Of a request; a larger one is a call of its own."""
STREAMED_CALLS_MAX = 100_000
"""Under way at once on one stream."""


def name_of(method: str) -> str:
    """pause_type is PauseType."""
    return "".join(part.capitalize() for part in method.split("_"))
