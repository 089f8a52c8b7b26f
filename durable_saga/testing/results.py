"""How a run in a test ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from durable_saga.client.description import HistoryEvent, event_of
from durable_saga.client.overview import Overview
from durable_saga.client.status import Status
from durable_saga.pb import history_pb2 as h


@dataclass(frozen=True)
class SagaResult:
    """How a run in a test ended. `status` is in small letters: "completed", "compensated", "failed", …, or "running" if the
    saga waits for something that does not come. `value` is what the saga returned; `error` is the failure as text, the user's
    frames first. `journal` holds the events, `calls` each attempt as ("do" or "undo", call, name), `elapsed` the virtual
    time."""

    overview: Overview
    value: Any
    _events: list[h.Event] = field(repr=False)
    calls: list[tuple[str, str, str]]
    elapsed: timedelta
    commits: int = 0
    replay: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)
    """Runs the saga's code over the whole journal once more. Raises NonDeterminism when it asks for something else."""

    @property
    def journal(self) -> list[HistoryEvent]:
        """The events, as `Handle.history()` gives them."""
        return [event_of(one) for one in self._events]

    @property
    def status(self) -> Status:
        return self.overview.status

    @property
    def completed_steps(self) -> list[str]:
        return self.overview.completed_steps

    @property
    def compensated_steps(self) -> list[str]:
        return self.overview.compensated_steps

    @property
    def skipped_steps(self) -> list[str]:
        return self.overview.skipped_steps

    @property
    def error(self) -> str | None:
        return self.overview.error

    @property
    def state(self) -> dict[str, Any]:
        return self.overview.state

    @property
    def names(self) -> list[str]:
        """What ran, in order: "charge", "undo refund"."""
        return [name if kind == "do" else f"undo {name}" for kind, _, name in self.calls]
