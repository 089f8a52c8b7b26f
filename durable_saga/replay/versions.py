"""At which version of its code a run began, and each of its child sagas: what `since()` asks.

A run begins at the version that its saga has where its first event is written. That stands on its event 1 (Event.version, 1 is
left out), so a run of which nothing but the start was written takes the version of whoever goes on with it. A child saga begins
at the version that it has where it is opened, which stands in its ScopeOpened.
"""

from __future__ import annotations

from collections.abc import Sequence

from durable_saga.definition.definition import SagaDefinition
from durable_saga.errors import NonDeterminism
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.history import History


class Versions:
    """Those of one run, by the path of call ids of the code that asks. `run` is that of the run itself."""

    __slots__ = ("_history", "_parts", "_recorded", "run")

    def __init__(self, definition: SagaDefinition, history: History, version: int = 0) -> None:
        """`version`: at which it begins, if it has not begun; 0: that of the definition."""
        self._history = history
        self._parts: dict[str, int] = {}
        self._recorded: dict[str, int] | None = None
        self.run = history.version = version or definition.version

    def replay(self, events: Sequence[h.Event]) -> None:
        """These are the committed history of the run."""
        if len(events) > 1:
            self.run = self._history.version = events[1].version or 1

    def check(self, definition: SagaDefinition) -> None:
        """Raises NonDeterminism where the run began at a later version than the code here has."""
        if self.run > definition.version:
            raise _too_old(definition, self.run)

    def open(self, call: str, definition: SagaDefinition) -> int:
        """A child saga is opened, in a task of its own, by this call. Raises NonDeterminism as check() does."""
        version = self._committed(call) or definition.version
        if version > definition.version:
            raise _too_old(definition, version)
        self._parts[call.rpartition(".")[0]] = version
        return version

    def began(self, opened: h.ScopeOpened) -> None:
        """By a history whose code is not run."""
        if opened.saga_type:
            self._parts[opened.call.rpartition(".")[0]] = opened.version or 1

    def same(self, path: str, of: str) -> None:
        """What runs under this path belongs to the child saga whose task has the path `of`."""
        if of in self._parts:
            self._parts[path] = self._parts[of]

    def at(self, path: str) -> int:
        """The version for code with this path of call ids, or for the step of a call."""
        parts = self._parts
        while path and parts:
            if (found := parts.get(path)) is not None:
                return found
            path = path.rpartition(".")[0]
        return self.run

    def _committed(self, call: str) -> int:
        """At which version the history says that it was opened, 0: it does not say that it was."""
        if not self._history.replaying:
            return 0
        if self._recorded is None:
            scopes = (event.scope_opened for event in self._history.committed if event.HasField("scope_opened"))
            self._recorded = {one.call: one.version or 1 for one in scopes if one.saga_type}
        return self._recorded.get(call, 0)


def _too_old(definition: SagaDefinition, version: int) -> NonDeterminism:
    code = definition.function.__code__
    place = f"{code.co_filename}:{code.co_firstlineno} in {code.co_qualname}"
    return NonDeterminism(f"saga {definition.name!r} begun at version {version}", f"version {definition.version} of it", place)
