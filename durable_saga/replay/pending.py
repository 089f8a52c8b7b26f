"""A step between its intent and its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from durable_saga import codec
from durable_saga.definition import binding
from durable_saga.definition.definition import StepDefinition
from durable_saga.definition.retry import Retry
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.arguments import Difference, calls_differ
from durable_saga.replay.awaiting import waiting_at
from durable_saga.replay.commands import RunStep
from durable_saga.replay.unwind import Entry


@dataclass(slots=True)
class Pending:
    """What runs, and what a replay compares with the history. `from_history`: this attempt may
    have started in another process. `defaults` are what the call left open and its compensation will get, `kept_defaults` the
    same as the history has them. `is_kept_back`: this attempt came up in a pause that is not over, so it has not begun."""

    call: str
    definition: StepDefinition
    data: bytes
    plain: tuple[Sequence[Any], Mapping[str, Any]] | None
    future: asyncio.Future[Any]
    activation: int
    retry: Retry | None
    entry: Entry | None = None
    attempt: int = 1
    not_before_ms: int = 0
    from_history: bool = False
    defaults: dict[str, Any] | None = None
    kept_defaults: bytes = b""
    interruptions: int = 0
    no_timeout: bool = False
    carried: bytes = b""
    is_kept_back: bool = False

    @property
    def name(self) -> str:
        return self.definition.name

    def undo(self) -> str:
        undo = self.definition.compensation
        return "" if undo is None else undo.name

    def place(self) -> str:
        return waiting_at(self.future.get_loop(), self.call)

    def is_alike(self, body: h.StepScheduled) -> bool:
        definition = self.definition
        is_undone = definition.compensation is not None or not body.compensation
        return is_undone and bool(body.input.data == self.data and body.name == definition.name)

    def differs(self, body: h.StepScheduled) -> Difference | None:
        held = body.input
        return None if held.data == self.data else calls_differ(held, self.data, self.definition.signature)

    def make(self) -> h.Event:
        """The intent. A replay comes here only with what its history does not have."""
        definition = self.definition
        event = h.Event()
        asked = event.step_scheduled
        asked.call, asked.name, asked.input.data = self.call, definition.name, self.data
        if definition.compensation is not None:
            asked.compensation = definition.compensation.name
            assert self.entry is not None, "it has a compensation"
            if self.entry.told:
                asked.scope = self.entry.told
            if self.defaults:
                asked.defaults.data = codec.encode(self.defaults, where=f"defaults of step {definition.name}")
                self.entry.defaults = asked.defaults.data
        if not definition.effect:
            asked.no_effect = True
        if definition.at_most_once:
            asked.at_most_once = True
        if self.no_timeout:
            asked.no_timeout = True
        return event

    def result(self, data: bytes) -> Any:
        """Raises DecodeError."""
        definition = self.definition
        return codec.decode(data, definition.result_type, where=definition.where_result)

    def effect(self) -> RunStep:
        """The step gets its own copy of the arguments, as they stand in the journal."""
        args, kwargs = self.plain or codec.decode_call(self.data, self.definition.signature)
        if self.kept_defaults:
            args, kwargs = binding.with_defaults_of(self.definition.signature, args, kwargs, self.kept_defaults)
        return RunStep(
            self.call, self.definition, args, kwargs, self.attempt, self.not_before_ms, self.from_history, self.retry,
            self.interruptions, self.carried,
        )  # fmt: skip
