"""What the user's own functions say about an unwind: the conditions of compensations, and the order.

They only compute. One that raises, or gives something else than was asked for, decides nothing and blocks nothing: what has a
condition is undone then, the order is the usual one, and a note says so in the history and in the log. What was decided once
stands in the history; a replay asks nobody again.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from durable_saga.replay.dice import Dice
from durable_saga.replay.history import History
from durable_saga.replay.standing import COMPUTES, Standing
from durable_saga.replay.unwind import Entry, Scope, Stack

NOTES_MAX = 20


def leading_error(error: BaseException) -> BaseException:
    """Of a group, the first error in it that is no cancellation: what made the others stop. Else the error itself."""
    leaves = list(_leaves(error))
    return next((one for one in leaves if not isinstance(one, asyncio.CancelledError)), leaves[0])


def is_mere_cancellation(error: BaseException) -> bool:
    """It says that something else failed, and not what."""
    return isinstance(leading_error(error), asyncio.CancelledError)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


@dataclass(slots=True)
class Recorded:
    """What the history says about an unwind. `whole`: a fact stands behind it, so that nothing of it is missing."""

    pending: frozenset[str]
    order: Sequence[str]
    skipped: set[str] = field(default_factory=set)
    whole: bool = False


class Judging:
    """Asks the functions, one after the other, while the saga's code can't go on."""

    __slots__ = ("_dice", "_history", "_new", "_notes", "_stack", "_standing")

    def __init__(self, history: History, standing: Standing, stack: Stack, dice: Dice) -> None:
        self._history, self._standing, self._stack, self._dice = history, standing, stack, dice
        self._notes: list[str] = []
        self._new: list[str] = []

    def take_notes(self) -> list[str]:
        """Those since the last time, for the log."""
        if not self._notes:
            return self._notes
        notes, self._notes = self._notes, []
        return notes

    def take_new(self) -> list[str]:
        """The notes since the last time, for the history."""
        new, self._new = self._new[:NOTES_MAX], []
        return new

    def is_needed(self, entry: Entry, error: BaseException) -> bool:
        """Whether its condition says that the compensation is to run."""
        when = entry.definition.when
        if when is None:
            return True
        try:
            return bool(self._ask(when, leading_error(error)))
        except (Exception, SystemExit, asyncio.CancelledError) as problem:  # to undo is the safe side
            whose = f"the condition of {entry.definition.name} (call {entry.call})"
            self.note(f"{whose} failed, so the compensation runs: {_text(problem)}")
            return True

    def order_of(self, scope: Scope, wanted: Callable[[Entry], bool]) -> list[str]:
        """The calls in the order in which they are to be undone; empty where none of the scopes has an order of its own."""
        if all(one.order is None for one in scope.scopes()):
            return []
        return [entry.call for entry in self._in_order(scope, wanted)]

    def _in_order(self, scope: Scope, wanted: Callable[[Entry], bool]) -> Iterator[Entry]:
        live = scope.live(wanted)
        if scope.order is not None:
            places = self._places(scope, [item.title for item in live])
            live.sort(key=lambda item: places.get(item.title, len(places)))
        for item in live:
            if isinstance(item, Entry):
                yield item
            else:
                yield from self._in_order(item, wanted)

    def _places(self, scope: Scope, titles: list[str]) -> dict[str, int]:
        whose = f"the compensation order of {scope.title}"
        try:
            named = self._ask(scope.order, list(titles))
        except (Exception, SystemExit, asyncio.CancelledError) as problem:
            self.note(f"{whose} failed, so the usual order holds: {_text(problem)}")
            return {}
        if not isinstance(named, list | tuple) or not all(isinstance(name, str) for name in named):
            self.note(f"{whose} gave a {type(named).__name__} instead of a list of names, so the usual order holds")
            return {}
        there, counted = Counter(titles), Counter(named)
        stack = self._stack
        known = there.keys() | {one.title for one in stack.entries.values()} | {one.title for one in stack.root.scopes()}
        if unknown := sorted(counted.keys() - known):
            self.note(f"{whose} names {', '.join(unknown)}, of which there is nothing to undo; there are {', '.join(titles)}")
        if twice := sorted(name for name in counted if name in there and counted[name] > there[name]):
            self.note(f"{whose} names {', '.join(twice)} more than once; the last place counts")
        return {name: place for place, name in enumerate(named)}

    def _ask(self, function: Any, argument: Any) -> Any:
        """What is drawn from the saga's dice is put back: a replay does not ask, and draws alike after it."""
        dice = self._dice.state()
        try:
            with self._standing.asking(COMPUTES):
                outcome = function(argument)
        finally:
            self._dice.restore(dice)
        if inspect.isawaitable(outcome):
            if inspect.iscoroutine(outcome):
                outcome.close()
            raise TypeError("it is async, but it only computes")
        return outcome

    def note(self, text: str) -> None:
        self._notes.append(text)
        self._new.append(text)

    # --- a replay ------------------------------------------------------------------------------------------------------

    def recorded(self, call: str | None) -> Recorded | None:
        """The unwind of this call (empty: of the saga; None: its settling), if the history has it right here."""
        if not self._history.replaying:
            return None
        found: Recorded | None = None
        events, goes_on = self._history.activation()
        for event in events:
            if event.HasField("compensation_skipped") and found is not None:
                found.skipped.add(event.compensation_skipped.call)
            elif found is None and call is None and event.HasField("settling_started"):
                found = Recorded(frozenset(event.settling_started.pending), event.settling_started.order, whole=goes_on)
            elif found is None and event.HasField("unwind_started") and event.unwind_started.call == call:
                found = Recorded(frozenset(event.unwind_started.pending), event.unwind_started.order, whole=goes_on)
        return found

    def recorded_at_once(self, call: str) -> bool | None:
        """Whether the compensation of a failed step ran at once; None: the history does not say."""
        if not self._history.replaying:
            return None
        for event in self._history.activation()[0]:
            if event.HasField("unwind_started") and event.unwind_started.call == call:
                return True
            if event.HasField("compensation_skipped") and event.compensation_skipped.call == call:
                return False
        return None


def _text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:500]
    except Exception:  # its own __str__ fails
        return type(error).__name__
