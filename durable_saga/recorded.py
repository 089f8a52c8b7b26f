"""Recorded histories for tests: the events of one run in a file, each behind its length in four bytes. They hold the values of
the saga."""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections import Counter
from collections.abc import Iterable, Sequence

from durable_saga.errors import InvalidArgument
from durable_saga.pb import history_pb2 as h

SUFFIX = ".history"
PER_TYPE_MAX = 50
"""Files for one type of sagas."""


def write_history(path: str | os.PathLike[str], events: Iterable[h.Event]) -> None:
    """For its owner alone to read. Raises OSError."""
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        for event in events:
            data = event.SerializeToString()
            file.write(len(data).to_bytes(4, "big") + data)


def read_history(path: str | os.PathLike[str]) -> list[h.Event]:
    """Raises InvalidArgument for what is no such file, and OSError."""
    data, events, place = pathlib.Path(path).read_bytes(), list[h.Event](), 0
    try:
        while place < len(data):
            size = int.from_bytes(data[place : place + 4], "big")
            if place + 4 + size > len(data):
                raise ValueError("it is cut off")
            events.append(h.Event.FromString(data[place + 4 : place + 4 + size]))
            place += 4 + size
    except Exception as error:
        raise InvalidArgument(f"{path} isn't a recorded history: {error}") from error
    if not events or not events[0].HasField("saga_started"):
        raise InvalidArgument(f"{path} isn't a recorded history: it does not begin with the start of a saga")
    return events


def is_sealed(events: Iterable[h.Event]) -> bool:
    return any(event.sealed or event.saga_started.input.HasField("seal") for event in events)


class Recorder:
    """`count` files were written to the folder, or are there with the same contents."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.count = folder, 0
        self._seen: set[str] = set()
        self._of_type: Counter[str] = Counter()

    def record(self, saga_type: str, events: Sequence[h.Event]) -> None:
        """If it is the first of its shape. Raises OSError."""
        shape = _shape(events)
        if shape in self._seen or self._of_type[saga_type] >= PER_TYPE_MAX:
            return
        self._seen.add(shape)
        self._of_type[saga_type] += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        name = "".join(one if one.isalnum() or one in "-_." else "_" for one in saga_type)
        write_history(self.folder / f"{name}-{shape[:8]}{SUFFIX}", events)
        self.count += 1


def _shape(events: Sequence[h.Event]) -> str:
    """The same for histories that differ in their values alone."""
    found = hashlib.sha256()
    for event in events:
        kind = event.WhichOneof("kind") or ""
        body = getattr(event, kind) if kind else None
        names = (getattr(body, one, "") for one in ("saga_type", "call", "name"))
        found.update(f"{kind} {event.version} {' '.join(map(str, names))}\n".encode())
    return found.hexdigest()
