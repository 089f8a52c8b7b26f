"""What a codec of payloads is. `Sealed` is one; another can stand in its place."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Subject(NamedTuple):
    """Where a value belongs: to a saga, or, published to a correlation key, to whichever sagas declared it."""

    namespace: str
    saga: str
    """Empty: it is published."""
    correlation_key: str = ""
    """Where it is published; known to who seals it alone."""
    event: str = ""
    """The name of what is published."""

    @property
    def place(self) -> bytes:
        """What a sealed value is bound to. Two subjects with different places have different bytes."""
        words = ("saga", self.namespace, self.saga) if self.saga else ("published", self.namespace, self.event)
        return b"".join(len(word).to_bytes(4, "big") + word for word in (text.encode() for text in words))


class SealedData(NamedTuple):
    key: str
    """The id of its key."""
    header: bytes
    """Whatever else the codec needs; 1,000 bytes at most."""
    data: bytes


class PayloadCodec(Protocol):
    """Both methods run on the event loop, for each value: no I/O that takes long. `open(seal(data))` is data, for the same
    place. Bytes from anywhere are opened to what was sealed, or raise."""

    name: str
    """Stands beside each value; a codec opens what a codec of its name has sealed."""

    def seal(self, data: bytes, subject: Subject) -> SealedData:
        """Raises MissingKey."""

    def open(self, sealed: SealedData, subject: Subject) -> bytes:
        """At most PAYLOAD_BYTES_MAX. Raises MissingKey and SealBroken."""
