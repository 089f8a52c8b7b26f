"""The stack of compensations of a run, from the forward part of its history alone: no code runs, nothing is matched.

Each event does to the stack what its call, or its outcome, did to it when the code ran (`calls.py`, `scopes.py`). What a
history does not tell is in docs/unwinding-from-the-journal.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from durable_saga import codec
from durable_saga.definition.definition import SagaDefinition, StepDefinition
from durable_saga.errors import CannotUndo
from durable_saga.failures.failures import rebuild_exception
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.definitions import Definitions, StandIn, stand_in
from durable_saga.replay.judging import leading_error
from durable_saga.replay.unwind import IN_DOUBT, IN_ROOT, STANDS, UNDER_WAY, Entry, Scope, Stack

Table = Mapping[str, StepDefinition]


class Rebuilding:
    """Of one run. `open`: steps without an outcome, by call. `notes`: what can't be known of the order, for the history."""

    def __init__(self, definition: SagaDefinition, definitions: Definitions, stack: Stack) -> None:
        self._definitions, self._stack = definitions, stack
        self._types: dict[str, SagaDefinition | None] = {"": definition}
        self._names: dict[str, str] = {"": definition.name}
        self._inputs: dict[str, bytes] = {}
        self._tables: dict[str, Table] = {}
        self._scopes: dict[str, Scope] = {}
        self._last_opened: dict[str, Scope] = {}
        self._steps: dict[str, StepDefinition] = {}
        self.open: dict[str, h.StepScheduled] = {}
        self.notes: list[str] = []
        self.found = self.missing = 0

    def fold(self, kind: str, body: Any) -> None:
        if (one := _FOLDS.get(kind)) is not None:
            one(self, body)

    def started(self, fact: h.SagaStarted) -> None:
        self._inputs[""] = fact.input.data

    # --- what was asked for --------------------------------------------------------------------------------------------

    def _scheduled(self, body: h.StepScheduled) -> None:
        self.open[body.call] = body
        if not body.compensation:
            return
        try:
            step = self._step(body)
            undo, signature = step.compensation, step.signature
            if undo is None:
                raise CannotUndo(f"step {body.name} has no compensation any more; it was {body.compensation}")
            self._steps[body.call] = step
        except (CannotUndo, TypeError) as error:
            undo = stand_in(body.compensation, error)
            signature = undo.signature
        entry = Entry(body.call, body.name, undo, body.input.data, signature, from_journal=True)
        entry.effect = STANDS if body.no_effect else UNDER_WAY
        self._register(entry, body)

    def _registered(self, body: h.CompensationRegistered) -> None:
        try:
            undo = self._definitions.undo(self._names[self._stack.child_around(body.call).call], body.name)
            signature = undo.signature
        except (CannotUndo, TypeError) as error:
            undo = stand_in(body.name, error)
            signature = undo.signature
        self._register(Entry(body.call, body.name, undo, body.input.data, signature, from_journal=True), body)

    def _register(self, entry: Entry, body: h.StepScheduled | h.CompensationRegistered) -> None:
        if isinstance(entry.definition, StandIn):
            self.missing += 1
        else:
            self.found += 1
        if body.HasField("defaults"):
            entry.defaults = body.defaults.data
        self._stack.register(entry, self._scope_of(body.call, body.scope))

    def _opened(self, body: h.ScopeOpened) -> None:
        stack = self._stack
        around = self._scope_of(body.call, body.scope)
        scope = self._scopes[body.call] = Scope(body.call, body.name, parallel=body.parallel, label=body.label)
        around.items.append(scope)
        path = body.call.rpartition(".")[0]
        if body.saga_type:
            known = self._types[body.call] = self._definitions.saga(body.saga_type)
            self._names[body.call], self._inputs[body.call] = body.saga_type, body.input.data
            stack.children[path] = scope
            if known is not None:
                scope.order = known.compensation_order
                scope.parallel = body.parallel if body.tells_scopes else known.compensation_parallel
        if body.ordered and scope.order is None:
            self.notes.append(f"the order of {scope.title} (call {body.call}) is not in the journal: the usual order holds")
        if not body.tells_scopes and not body.saga_type:
            self._last_opened[path] = scope

    def _scope_of(self, call: str, told: str) -> Scope:
        """Told by the event; else by the call id; in a history of before that was told, the last one that was opened around."""
        if told:
            return self._stack.root if told == IN_ROOT else self._scopes[told]
        child = self._stack.child_around(call)
        path = call.rpartition(".")[0]
        while self._last_opened and path != child.call.rpartition(".")[0]:
            if (found := self._last_opened.get(path)) is not None:
                return found
            path = path.rpartition(".")[0]
        return self._last_opened.get(path, child)

    # --- what it is today -----------------------------------------------------------------------------------------------

    def _step(self, body: h.StepScheduled) -> StepDefinition:
        """Raises CannotUndo."""
        around = self._stack.child_around(body.call).call
        found = self._table(around).get(body.name)
        return found or self._definitions.step(self._names[around], body.name, body.compensation)

    def _table(self, around: str) -> Table:
        """Of a declared saga; empty for another. Raises CannotUndo."""
        if around not in self._tables:
            definition, found = self._types.get(around), dict[str, StepDefinition]()
            if definition is not None and definition.table is not None:
                if not (data := self._inputs.get(around)):
                    raise CannotUndo(f"the context of the child saga {definition.name} is not in the journal")
                try:
                    args, kwargs = codec.decode_call(data, definition.signature)
                    found.update(definition.table(*args, **kwargs))
                except Exception as error:  # what a table's own code raises too
                    raise CannotUndo(f"the table of saga {definition.name} can't be made: {_words(error)}") from error
            self._tables[around] = found
        return self._tables[around]

    # --- what came of it ------------------------------------------------------------------------------------------------

    def _completed(self, body: h.StepCompleted) -> None:
        entry, was_open = self._stack.entries.get(body.call), self.open.pop(body.call, None)
        if entry is None:
            return
        entry.result = partial(_result, self._steps.get(body.call), body.result.data)
        if was_open is not None:
            entry.effect = STANDS

    def _failed(self, body: h.StepFailed) -> None:
        was_open, entry = self.open.pop(body.call, None), self._stack.entries.get(body.call)
        if body.failure.not_applied or was_open is None:
            self._stack.not_needed(body.call)
        elif entry is not None:
            self._in_doubt(entry, rebuild_exception(body.failure, step=was_open.name, call=body.call))
        if entry is not None and body.HasField("result"):
            entry.result = partial(codec.decode, body.result.data, where=f"rejected result of call {body.call}")

    def _cancelled(self, body: h.StepCancelled) -> None:
        self.open.pop(body.call, None)
        if body.never_started:
            self._stack.not_needed(body.call)
        elif (entry := self._stack.entries.get(body.call)) is not None:
            self._in_doubt(entry, None)

    def _in_doubt(self, entry: Entry, error: BaseException | None) -> None:
        if entry.effect != UNDER_WAY:
            return
        step = self._steps.get(entry.call)
        entry.effect = STANDS if step is not None and step.in_doubt_leave else IN_DOUBT
        entry.error = error

    # --- what was undone on the way -------------------------------------------------------------------------------------

    def _partly_unwound(self, body: h.UnwindStarted) -> None:
        """A scope, a handler, or a step that is undone at once."""
        error = leading_error(rebuild_exception(body.failure, step="", call=body.call))
        for call in body.pending:
            if (entry := self._stack.entries.get(call)) is not None:
                entry.step("restored")
                entry.planned = True
                entry.cause = entry.cause or error

    def _begun(self, body: h.CompensationScheduled) -> None:
        self._stack.entries[body.call].step("schedule")

    def _left_out(self, body: h.CompensationSkipped) -> None:
        self._stack.entries[body.call].step("not due")


_FOLDS: Mapping[str, Callable[[Rebuilding, Any], None]] = {
    "step_scheduled": Rebuilding._scheduled,
    "compensation_registered": Rebuilding._registered,
    "scope_opened": Rebuilding._opened,
    "step_completed": Rebuilding._completed,
    "step_failed": Rebuilding._failed,
    "step_cancelled": Rebuilding._cancelled,
    "unwind_started": Rebuilding._partly_unwound,
    "compensation_scheduled": Rebuilding._begun,
    "compensation_skipped": Rebuilding._left_out,
}


def _result(step: StepDefinition | None, data: bytes) -> Any:
    """Raises DecodeError. Of a step that is not known today, plain data."""
    if step is None:
        return codec.decode(data, where="result")
    return codec.decode(data, step.result_type, where=step.where_result)


def _words(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # its own __str__ fails
        return type(error).__name__
