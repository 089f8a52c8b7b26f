"""Which values of a history are decoded outside the worker's loop, as large as they are, and where a replay is cut for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from durable_saga.codec.decode import ASIDE_ABOVE_BYTES
from durable_saga.pb import history_pb2 as h

Decode = Callable[[], Any]
"""Gives a value. Raises DecodeError; may be called in any thread."""
_WITH_VALUES = ("saga_started", "step_completed", "signal_received")


def is_to_be_decoded_aside(event: h.Event) -> bool:
    return event.large_bytes > ASIDE_ABOVE_BYTES and event.WhichOneof("kind") in _WITH_VALUES


def stretches(events: Sequence[h.Event]) -> Iterator[Sequence[h.Event]]:
    """The events, cut before each large value; a value stands first in its stretch."""
    large = [place for place, event in enumerate(events) if event.large_bytes and is_to_be_decoded_aside(event)]
    for begin, end in pairwise(sorted({0, *large, len(events)})):
        yield events[begin:end]
