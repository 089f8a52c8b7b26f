"""What a codec of payloads is. `Sealed` is one; another can stand in its place."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Subject(NamedTuple):
    """Where a value belongs: to a saga, or to a correlation key, whose sagas are not known when it is published."""

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
    """Seals and opens values. Both methods run on the event loop for each value, so they must not do slow I/O.
    `open(seal(data))` is `data`, for the same place. `open` turns bytes from anywhere into what was sealed, or raises."""

    name: str
    """Stands beside each value; a codec opens what a codec of its name has sealed."""

    def seal(self, data: bytes, subject: Subject) -> SealedData:
        """Raises MissingKey."""

    def open(self, sealed: SealedData, subject: Subject) -> bytes:
        """The data, at most PAYLOAD_BYTES_MAX. Raises MissingKey and SealBroken."""
