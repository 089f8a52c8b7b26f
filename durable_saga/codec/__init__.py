"""Values of the user as bytes and back: msgpack, with the types of docs/payloads.md. Never pickle.

Encoding is deterministic: equal values give equal bytes. Decoding rebuilds dataclasses, attrs and pydantic models from the
annotation of the place where the value goes to; without an annotation they come back as dicts.
"""

from durable_saga.codec.decode import decode, decode_call
from durable_saga.codec.encode import encode, encode_call
from durable_saga.pb.payloads import PAYLOAD_BYTES_MAX

__all__ = ["PAYLOAD_BYTES_MAX", "decode", "decode_call", "encode", "encode_call"]
