"""Values of the user as bytes and back: msgpack, with the types of docs/payloads.md. Never pickle.

What goes in comes out the same: `decode(encode(x, annotation=T), T)` equals x and has its type, or encode() refuses it, naming
the type and the path. Equal values give equal bytes. Bytes from anywhere are decoded or are a DecodeError, within bounds.
"""

from durable_saga.codec import adapter, making  # noqa: F401  read here, so that no saga's code has to wait for it
from durable_saga.codec.decode import decode, decode_aside, decode_call, decode_message
from durable_saga.codec.encode import UNKNOWN, encode, encode_call, encode_message
from durable_saga.codec.messages import as_read
from durable_saga.codec.misfit import DEPTH_MAX, HASH_COLLISIONS_MAX, VALUES_MAX
from durable_saga.codec.named import Converters, register
from durable_saga.pb.payloads import PAYLOAD_BYTES_MAX

__all__ = [
    "DEPTH_MAX",
    "HASH_COLLISIONS_MAX",
    "PAYLOAD_BYTES_MAX",
    "UNKNOWN",
    "VALUES_MAX",
    "Converters",
    "as_read",
    "decode",
    "decode_aside",
    "decode_call",
    "decode_message",
    "encode",
    "encode_call",
    "encode_message",
    "register",
]  # fmt: skip
