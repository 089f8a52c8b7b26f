"""The chance of one run: all of it follows from the seed in its first event, so every replay throws the same.

What our own functions give and what others draw are streams of their own: a library that throws once more shifts no `uuid4()`
that stands in a key. Runs of before (rules 0) have one stream for all.
"""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any
from uuid import UUID

DiceState = tuple[dict[str, Any], dict[str, int]]


class Dice:
    """Each stream is made when it is asked for first: a generator is a quarter of a small saga's memory. Seed and rules
    are those of the run's start; nothing is thrown before `begin()` tells them."""

    __slots__ = ("_counts", "_is_one", "_seed", "_streams")

    def __init__(self, seed: bytes = b"", rules: int = 0) -> None:
        self._streams: dict[str, Random] = {}
        self._counts: dict[str, int] = {}
        self.begin(seed, rules)

    def begin(self, seed: bytes, rules: int) -> None:
        self._seed = seed
        self._is_one = rules == 0

    def saga(self) -> Random:
        """What `durable_saga.random()` gives."""
        return self._stream("saga")

    def machine(self) -> Random:
        """What the functions of `random` draw from."""
        return self._stream("random")

    def uuid4(self) -> UUID:
        """What `durable_saga.uuid4()` gives."""
        return self._uuid("saga.uuid4")

    def machine_uuid4(self) -> UUID:
        """What `uuid.uuid4()` gives."""
        return self._uuid("uuid.uuid4")

    def urandom(self, count: int) -> bytes:
        """What `os.urandom()`, and with it `secrets` and SystemRandom, give."""
        if self._is_one:
            return self._stream("").randbytes(count)
        return hashlib.shake_128(self._next("urandom")).digest(count)

    def state(self) -> DiceState:
        """What `restore()` takes back to here."""
        return {name: stream.getstate() for name, stream in self._streams.items()}, dict(self._counts)

    def restore(self, state: DiceState) -> None:
        streams, self._counts = state
        self._streams = {name: stream for name, stream in self._streams.items() if name in streams}
        for name, stream in self._streams.items():
            stream.setstate(streams[name])

    def _uuid(self, stream: str) -> UUID:
        if self._is_one:
            return UUID(int=self._stream("").getrandbits(128), version=4)
        return UUID(bytes=hashlib.shake_128(self._next(stream)).digest(16), version=4)

    def _next(self, stream: str) -> bytes:
        count = self._counts[stream] = self._counts.get(stream, 0) + 1
        return b"%b %b %d" % (self._seed, stream.encode(), count)

    def _stream(self, name: str) -> Random:
        name = "" if self._is_one else name
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Random(self._seed + name.encode())
        return stream
