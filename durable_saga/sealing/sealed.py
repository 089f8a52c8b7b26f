"""The codec that ships: AES-256-GCM, each value under a key of its own, compressed before.

Of the 24 random bytes of a value the first 12 make its key (HMAC-SHA-256 of the key from `keys`), the others are the nonce: any
number of values may be sealed with one key. The tag stands in the header, so that a sealed value is never longer than the plain
one. What is authenticated beside the value: codec, key id, flags, and the place where it belongs.
"""

from __future__ import annotations

import hmac
import os
import zlib
from collections.abc import Callable

from durable_saga.errors import LimitExceeded, SealBroken
from durable_saga.pb.payloads import PAYLOAD_BYTES_MAX
from durable_saga.sealing.keys import Keys
from durable_saga.sealing.payload_codec import SealedData, Subject

NONCE_BYTES = 24
TAG_BYTES = 16
COMPRESS_BYTES_MIN = 64
COMPRESS_BYTES_MAX = 1024 * 1024
"""Larger ones are sealed as they are: the event loop waits meanwhile."""
_COMPRESSED = 1
_LABEL = b"durable-saga sealed value 1"
_HEADER_BYTES = 1 + NONCE_BYTES + TAG_BYTES


def default_name(_: Subject) -> str:
    return "default"


class Sealed:
    """A codec with AES-256-GCM. `name_of` returns the name of the key for a subject; without it, one key is used for
    everything. Clients and workers call it, and it must give the same answer everywhere. Raises ImportError without the extra
    `encryption`."""

    name = "aes-256-gcm"

    def __init__(self, keys: Keys, name_of: Callable[[Subject], str] = default_name, *, compress: bool = True) -> None:
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise ImportError(f"{error}: `pip install 'durable-saga[encryption]'`") from error
        self._cipher, self._invalid = AESGCM, InvalidTag
        self._keys = keys
        self._name_of = name_of
        self._compress = compress

    def seal(self, data: bytes, subject: Subject) -> SealedData:
        """Under the newest key of the name that `key_of` gives. Raises MissingKey."""
        if len(data) > PAYLOAD_BYTES_MAX:
            raise LimitExceeded("PAYLOAD_BYTES_MAX", PAYLOAD_BYTES_MAX, f"a value to be sealed has {len(data)} bytes")
        key_id = self._keys.current(self._name_of(subject))
        flags = 0
        if self._compress and COMPRESS_BYTES_MIN <= len(data) <= COMPRESS_BYTES_MAX:
            small = zlib.compress(data, 1)
            if len(small) <= len(data) * 7 // 8:
                data, flags = small, _COMPRESSED
        nonce = os.urandom(NONCE_BYTES)
        cipher = self._cipher(_key_of(self._keys.find(key_id), nonce))
        sealed = cipher.encrypt(nonce[12:], data, _bound(key_id, flags, subject))
        return SealedData(key_id, bytes([flags]) + nonce + sealed[-TAG_BYTES:], sealed[:-TAG_BYTES])

    def open(self, sealed: SealedData, subject: Subject) -> bytes:
        """Raises MissingKey and SealBroken."""
        header = sealed.header
        if len(header) != _HEADER_BYTES or header[0] not in (0, _COMPRESSED) or len(sealed.data) > PAYLOAD_BYTES_MAX:
            raise SealBroken("a sealed value is damaged: its header is invalid")
        nonce, tag = header[1 : 1 + NONCE_BYTES], header[1 + NONCE_BYTES :]
        cipher = self._cipher(_key_of(self._keys.find(sealed.key), nonce))
        try:
            data = cipher.decrypt(nonce[12:], sealed.data + tag, _bound(sealed.key, header[0], subject))
        except self._invalid:
            raise SealBroken(
                f"a value that is sealed with the key {sealed.key!r} was changed, was made for another place, or the key of"
                " this id is another one"
            ) from None
        return _expanded(data) if header[0] else data


def _key_of(key: bytes, nonce: bytes) -> bytes:
    return hmac.digest(key, _LABEL + nonce[:12], "sha256")


def _bound(key_id: str, flags: int, subject: Subject) -> bytes:
    name = key_id.encode()
    return b"".join((_LABEL, bytes([flags]), len(name).to_bytes(4, "big"), name, subject.place))


def _expanded(data: bytes) -> bytes:
    """Raises SealBroken: who has the key sealed what is no compressed value, or one that is too large."""
    expander = zlib.decompressobj()
    try:
        plain = expander.decompress(data, PAYLOAD_BYTES_MAX + 1)
    except zlib.error as error:
        raise SealBroken(f"a sealed value can't be expanded: {error}") from None
    if not expander.eof or expander.unused_data or len(plain) > PAYLOAD_BYTES_MAX:
        raise SealBroken(f"a sealed value expands to more than PAYLOAD_BYTES_MAX ({PAYLOAD_BYTES_MAX}), or is cut off")
    return plain
