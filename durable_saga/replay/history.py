"""The history of one run as the core sees it: what was there, what was added since the last `take()`.

Facts are fed; intents are what the code asked for. While a history is replayed, each intent that the code produces must
stand in the history right behind the fact that led to it (matched by kind and call id, checked by name and arguments), and
nothing else may stand there. Otherwise the code is not the code that made the history: NonDeterminism, with both sides and the
place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from types import CodeType, FrameType
from typing import Any, NamedTuple, Protocol

from durable_saga.errors import FutureEventKind, LimitExceeded, NonDeterminism
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.payloads import (
    EVENTS_PER_RUN_MAX,
    HISTORY_BYTES_MAX,
    LARGE_BYTES_PER_RUN_MAX,
    PAYLOAD_INLINE_BYTES_MAX,
    WARN_AT_SHARE,
    is_large,
    large_bytes,
    payloads,
)
from durable_saga.replay.arguments import Difference, calls_differ, state_differs, values_differ

REFERENCE_BYTES = 64
UNWIND_FACTOR = 4
_LARGE_BYTES = attrgetter("large_bytes")
ADVICE = "let the saga continue in a new run with `await continue_as_new(...)`"

INTENTS = frozenset({
    "step_scheduled", "step_cancelled", "compensation_registered", "unwind_started", "compensation_scheduled",
    "compensation_skipped", "saga_ended", "step_skipped", "state_changed", "scope_opened", "pivot_passed", "saga_held",
    "key_declared", "attributes_set", "settling_started", "signal_rejected",
})  # fmt: skip

ENDS_FROM_OUTSIDE = frozenset({"saga_terminated", "stopped_before_start"})


class Place(NamedTuple):
    """Where saga code stood when it asked for something."""

    code: CodeType
    instruction: int

    def __str__(self) -> str:
        lines = (line for start, end, line in self.code.co_lines() if start <= self.instruction < end)
        return f"{self.code.co_filename}:{next(lines, None)} in {self.code.co_qualname}"


class Asked(Protocol):
    """What the code asked for in a replay. The event is made only if it is new."""

    @property
    def name(self) -> str: ...

    def undo(self) -> str:
        """The name of a step's compensation."""

    def place(self) -> str:
        """Where the code asked, as far as that can be told."""

    def make(self) -> h.Event: ...

    def is_alike(self, body: Any) -> bool:
        """Whether it is surely what the history holds; found quickly."""

    def differs(self, body: Any) -> Difference | None:
        """None: what it was asked with is what the history holds."""


class Intent:
    """All but a step. `type` is that of a result."""

    __slots__ = ("_event", "_kind", "_place", "_type", "name")

    def __init__(self, event: h.Event, kind: str, place: Place | None, type: Any) -> None:
        self._event, self._kind, self._place, self._type = event, kind, place, type
        self.name = _name(event, kind)

    def undo(self) -> str:
        return ""

    def place(self) -> str:
        return "" if self._place is None else str(self._place)

    def make(self) -> h.Event:
        return self._event

    def is_alike(self, body: Any) -> bool:
        return False

    def differs(self, body: Any) -> Difference | None:
        ours = getattr(self._event, self._kind)
        match self._kind:
            case "compensation_registered":
                return calls_differ(body.input, ours.input.data, self._type)
            case "state_changed":
                return state_differs(body.changes, ours.changes)
            case "saga_ended" if ours.HasField("result"):
                return values_differ(body.result, ours.result.data, self._type)
            case "key_declared" if body.key != ours.key:
                return repr(body.key), repr(ours.key)
        return None


def kind_of(event: h.Event) -> str:
    kind = event.WhichOneof("kind")
    if kind is None:
        raise FutureEventKind(
            f"event {event.seq} is of a kind that this version of durable-saga does not know: it was written by a newer"
            " one; upgrade this worker"
        )
    return kind  # type: ignore[no-any-return]


class History:
    """Assigns sequence numbers and times. `replaying` is True until the committed history has been walked through."""

    __slots__ = (
        "_asked", "_bytes", "_committed", "_is_counted", "_large_bytes", "_warned", "added", "added_bytes", "is_large",
        "next_seq", "replaying", "version",
    )  # fmt: skip

    def __init__(self) -> None:
        self.next_seq = 0
        self.version = 1  # of the code that the run began with: it stands on event 1
        self.replaying = False
        self.added: list[h.Event] = []
        self.added_bytes = 0
        self._bytes = 0
        self._large_bytes = 0
        self.is_large = False  # a fifth of a limit is used up
        self._warned = False
        self._is_counted = False
        self._asked: dict[tuple[str, str], Asked] = {}
        self._committed: Sequence[h.Event] = ()

    def replay(self, events: Sequence[h.Event]) -> None:
        """These will be walked through. A history that is far from every limit is counted here, as a whole."""
        self.replaying, self._committed = True, events
        size = sum(map(h.Event.ByteSize, events))
        is_small = len(events) * WARN_AT_SHARE < EVENTS_PER_RUN_MAX and size * WARN_AT_SHARE < HISTORY_BYTES_MAX
        if is_small and not any(map(_LARGE_BYTES, events)):
            self._bytes, self._is_counted = size, True

    @property
    def committed(self) -> Sequence[h.Event]:
        """In a replay: all of it."""
        return self._committed

    def passed(self, event: h.Event) -> None:
        """One more event of the history is walked through."""
        if self._is_counted:
            self.next_seq += 1
        else:
            self.count(event)

    def activation(self) -> tuple[list[h.Event], bool]:
        """In a replay: what the history holds from here on to the next fact, and whether it goes on after that. An engine
        that learns to do more asks what the one that made the history did."""
        found: list[h.Event] = []
        for place in range(self.next_seq, len(self._committed)):
            event = self._committed[place]
            if kind_of(event) not in INTENTS:
                return found, True
            found.append(event)
        return found, bool(found) and kind_of(found[-1]) == "saga_ended"

    def holds_in_this_activation(self, kind: str) -> bool:
        return self.replaying and any(kind_of(event) == kind for event in self.activation()[0])

    def ended_at_once(self) -> bool:
        """In a replay: the run ended in this activation, without unwinding or settling anything, as engines did that knew
        neither settling nor handlers that are let finish."""
        kinds = {kind_of(event) for event in self.activation()[0]} if self.replaying else set()
        return "saga_ended" in kinds and not kinds & {"unwind_started", "settling_started"}

    def intent(self, event: h.Event, now_ms: int, type: Any = Any) -> None:
        """The code asked for something: new history, or to be matched with the old one. `type`: of the result in it, or the
        signature that its arguments are for."""
        if self.replaying:
            kind = kind_of(event)
            self._asked[kind, _call(event, kind)] = Intent(event, kind, user_place(), type)
        else:
            self.append(event, now_ms)

    def step(self, call: str, step: Asked, now_ms: int) -> None:
        """The same for a step, whose event is not made when the history has it."""
        if self.replaying:
            self._asked["step_scheduled", call] = step
        else:
            self.append(step.make(), now_ms)

    def append(self, event: h.Event, now_ms: int) -> None:
        if (over := self.over_limit(UNWIND_FACTOR)) is not None:
            raise over
        event.seq = seq = self.next_seq
        if seq == 1 and self.version > 1:
            event.version = self.version
        event.time_ms = now_ms
        size = event.ByteSize()
        if size > PAYLOAD_INLINE_BYTES_MAX or event.HasField("signal_received"):
            event.large_bytes = large_bytes(event)
        self.count(event, size)
        self.added.append(event)
        self.added_bytes += size

    def count(self, event: h.Event, size: int = 0) -> None:
        """One more event. `size`: where it is known."""
        size = size or event.ByteSize()
        self.next_seq += 1
        if large := event.large_bytes:
            self._large_bytes += large
            size = _bytes_beside(event)
        self._bytes += size
        if not self.is_large:
            self.is_large = (
                self.next_seq * WARN_AT_SHARE > EVENTS_PER_RUN_MAX
                or self._bytes * WARN_AT_SHARE > HISTORY_BYTES_MAX
                or self._large_bytes * WARN_AT_SHARE > LARGE_BYTES_PER_RUN_MAX
            )

    def over_limit(self, factor: int = 1) -> LimitExceeded | None:
        """What a run meets that has grown too long; its unwind may use up to UNWIND_FACTOR times as much."""
        if not self.is_large:
            return None
        if self.next_seq >= EVENTS_PER_RUN_MAX * factor:
            return LimitExceeded("EVENTS_PER_RUN_MAX", EVENTS_PER_RUN_MAX, f"{ADVICE}, or split the saga")
        if self._bytes >= HISTORY_BYTES_MAX * factor:
            return LimitExceeded("HISTORY_BYTES_MAX", HISTORY_BYTES_MAX, f"{ADVICE}, or split the saga")
        if self._large_bytes >= LARGE_BYTES_PER_RUN_MAX * factor:
            advice = f"keep large values elsewhere and pass their keys, or {ADVICE}"
            return LimitExceeded("LARGE_BYTES_PER_RUN_MAX", LARGE_BYTES_PER_RUN_MAX, advice)
        return None

    def warning(self) -> str:
        """Once in the life of a run, when a fifth of a limit is used up; else empty."""
        if self._warned or not self.is_large:
            return ""
        self._warned = True
        return (
            f"its history has {self.next_seq} events, {self._bytes} bytes and {self._large_bytes} bytes of large values; it is"
            f" stopped and unwound at EVENTS_PER_RUN_MAX ({EVENTS_PER_RUN_MAX}), HISTORY_BYTES_MAX ({HISTORY_BYTES_MAX}) or"
            f" LARGE_BYTES_PER_RUN_MAX ({LARGE_BYTES_PER_RUN_MAX}): {ADVICE}"
        )

    def match(self, event: h.Event, kind: str, body: Any, idle_at: Callable[[], str]) -> None:
        """An intent of the history: the code must have asked for it."""
        asked = self._asked.pop((kind, getattr(body, "call", "")), None)
        if asked is not None and asked.is_alike(body):
            return
        if asked is None:
            raise NonDeterminism(describe(event), self._asked_text(), self._asked_place() or idle_at())
        if asked.name != _name_in(body, kind):
            words = _words(kind, asked.name, _call(event, kind))
            raise NonDeterminism(describe(event), words, asked.place() or idle_at())
        if kind == "step_scheduled" and body.compensation and not asked.undo():  # what is done would never be undone
            words = f"{describe(event)} with compensation {body.compensation!r}"
            raise NonDeterminism(words, "it without one", asked.place() or idle_at())
        if (difference := asked.differs(body)) is not None:
            held, given = difference
            raise NonDeterminism(f"{describe(event)} with {held}", f"it with {given}", asked.place() or idle_at())

    def expect_matched(self, event: h.Event) -> None:
        """Before a fact of the history: all that the code asked for must have been there. Who ends a run from outside cuts off
        what is on its way."""
        if event.WhichOneof("kind") in ENDS_FROM_OUTSIDE:
            self._asked = {}
        elif self._asked:
            raise NonDeterminism(describe(event), self._asked_text(), self._asked_place())

    def finish_replay(self, now_ms: int) -> None:
        """What the code asked for at the end of a history that stops short is new."""
        self.replaying, self._committed = False, ()
        self._warned = self.is_large  # whoever had it when it grew so large has said it
        asked, self._asked = self._asked, {}
        for one in asked.values():
            self.append(one.make(), now_ms)

    def _asked_text(self) -> str:
        return ", ".join(_words(kind, one.name, call) for (kind, call), one in self._asked.items()) or "nothing"

    def _asked_place(self) -> str:
        return next(filter(None, (one.place() for one in self._asked.values())), "")


def _bytes_beside(event: h.Event) -> int:
    """The size of an event with large payloads: the same for one that still has their data and one that has references."""
    rest = h.Event.FromString(event.SerializeToString())
    large = [payload for payload in payloads(rest) if is_large(payload)]
    for payload in large:
        payload.Clear()
    return rest.ByteSize() + len(large) * REFERENCE_BYTES


def user_place() -> Place | None:
    """The nearest frame outside this package and asyncio: the saga's own line. None for what is asked for between its turns,
    as changes of its state are; beyond is whatever runs the worker."""
    frame: FrameType | None = sys._getframe(2)
    for _ in range(30):
        if frame is None:
            return None
        module = frame.f_globals.get("__name__", "")
        if not _is_ours(module):
            return Place(frame.f_code, frame.f_lasti)
        if frame.f_code.co_name == "_apply" and module == "durable_saga.replay.run":
            return None
        frame = frame.f_back
    return None


@lru_cache(maxsize=4096)
def _is_ours(module: str) -> bool:
    return module.startswith(("durable_saga.", "asyncio", "contextlib"))


def describe(event: h.Event) -> str:
    """One event in words, for messages."""
    kind = kind_of(event)
    return _words(kind, _name(event, kind), _call(event, kind))


def _words(kind: str, name: str, call: str) -> str:
    return kind.replace("_", " ") + (f" {name!r}" if name else "") + (f" (call {call})" if call else "")


def _call(event: h.Event, kind: str) -> str:
    return str(getattr(getattr(event, kind), "call", ""))


def _name(event: h.Event, kind: str) -> str:
    return _name_in(getattr(event, kind), kind)


def _name_in(body: Any, kind: str) -> str:
    return str(getattr(body, "name", "")) or (h.Status.Name(body.status) if kind == "saga_ended" else "")
