"""The tape of one run: its history, where on it the run is, and what is to be started once what is new on it is committed.

The parts of the core write down here what the saga's code asks for; in a replay that is matched with what stands there. It runs
no code and knows nobody who writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durable_saga.pb import history_pb2 as h
from durable_saga.replay.commands import NOT_DECODED, Effect
from durable_saga.replay.history import History


class Tape:
    """`now_ms` is Unix time in milliseconds as the saga sees it: it moves only with facts, and `activation` counts those that
    were told. `back_to`: from where a recovery takes back, if the saga is held now. `takes_back`: a message is told that came
    in a part of the history that a recovery took back. `urgent`: something came up that must be committed now. Timers and
    the deadline of the run go by `clock_ms`: Unix time less `stood_ms`, for which the clock stood in pauses."""

    __slots__ = (
        "_stands_since_ms", "activation", "back_to", "effects", "given", "history", "now_ms", "stood_ms", "takes_back",
        "urgent",
    )  # fmt: skip

    def __init__(self) -> None:
        self.history = History()
        self.now_ms = self.activation = self.back_to = 0
        self.effects: list[Effect] = []
        self.given: Any = NOT_DECODED  # the value in the fact that is being told, a copy that nobody else has
        self.takes_back = self.urgent = False
        self.stood_ms = self._stands_since_ms = 0

    @property
    def is_replaying(self) -> bool:
        return self.history.replaying

    @property
    def clock_ms(self) -> int:
        return (self._stands_since_ms or self.now_ms) - self.stood_ms

    @property
    def clock_stands(self) -> bool:
        return self._stands_since_ms > 0

    def stop_clock(self) -> None:
        self._stands_since_ms = self._stands_since_ms or self.now_ms

    def start_clock(self) -> None:
        if self._stands_since_ms:
            self.stood_ms, self._stands_since_ms = self.stood_ms + self.now_ms - self._stands_since_ms, 0

    def ask(self, event: h.Event, type: Any = Any) -> None:
        """`type`: see History.intent()."""
        self.history.intent(event, self.now_ms, type)

    def want(self, make: Callable[[], Effect]) -> None:
        """Something to start. A replay asks for all of it at its end."""
        if not self.history.replaying:
            self.effects.append(make())

    def take_given(self) -> Any:
        value, self.given = self.given, NOT_DECODED
        return value

    def take(self) -> tuple[list[h.Event], int, list[Effect], bool]:
        """The new events and their bytes, what is to be started, and `urgent`, since the last call."""
        history, effects, urgent = self.history, self.effects, self.urgent
        events, size = history.added, history.added_bytes
        history.added, history.added_bytes, self.effects, self.urgent = [], 0, [], False
        return events, size, effects, urgent
