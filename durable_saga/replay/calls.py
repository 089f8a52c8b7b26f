"""The steps that a run waits for: scheduled by its code, resolved by facts, each exactly once.

A step that failed or was cancelled is in doubt for as long as its compensation is open. What its attempt says after that is
taken too: a result goes to the compensation, and the proof that nothing happened makes it needless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from durable_saga import codec
from durable_saga.definition import binding
from durable_saga.definition.definition import CompensationDefinition, StepDefinition
from durable_saga.definition.retry import Retry
from durable_saga.errors import DecodeError, LimitExceeded, UnsupportedOperation
from durable_saga.failures.failures import rebuild_exception
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.arguments import Difference, calls_differ
from durable_saga.replay.aside import Decode
from durable_saga.replay.awaiting import waiting_at
from durable_saga.replay.commands import NOT_DECODED, CancelStep, RunStep
from durable_saga.replay.scopes import default_retry, enlist
from durable_saga.replay.unawaited import Unawaited
from durable_saga.replay.unwind import IN_DOUBT, REGISTERED, RUNNING, STANDS, UNDER_WAY, Entry

if TYPE_CHECKING:
    from durable_saga.replay.run import Core

PENDING_CALLS_MAX = 2_000
BACKOFF_UNCOMMITTED_MS_MAX = 1_000
_COPY_FREE = frozenset({str, bytes, int, float, bool, type(None)})
"""Of arguments that nobody can change behind the caller's back."""


@dataclass(slots=True)
class Pending:
    """A step between its intent and its outcome, and what a replay compares with the history. `from_history`: this attempt may
    have started in another process. `defaults` are what the call left open and its compensation will get, `kept_defaults` the
    same as the history has them."""

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
            if self.defaults:
                asked.defaults.data = codec.encode(self.defaults, where=f"defaults of step {definition.name}")
                assert self.entry is not None, "it has a compensation"
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
            self.interruptions,
        )  # fmt: skip


class Calls:
    """Owns the pending steps of one run."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.pending: dict[str, Pending] = {}
        self.unawaited = Unawaited()
        self._cut_off: dict[str, Pending] = {}  # failed or cancelled, with a compensation: their attempts may still tell

    def call(self, definition: StepDefinition, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Coroutine[Any, Any, Any]:
        """What calling a step inside a saga gives. The call id and the arguments are fixed here, at the call."""
        core = self._core
        if core.loop.discarded:
            return core.forward.refused()
        if core.judging:
            raise UnsupportedOperation(
                f"step {definition.name} can't be called in a condition or an order of compensations: these only compute"
            )
        if kwargs or not definition.takes(len(args)):
            definition.signature.bind(*args, **kwargs)  # raises TypeError
        data = codec.encode_call(
            args, kwargs, where=definition.where, signature=definition.signature, function=definition.function,
        )  # fmt: skip
        plain = (args, kwargs) if _COPY_FREE.issuperset(map(type, (*args, *kwargs.values()) if kwargs else args)) else None
        defaults = definition.defaults if definition.compensation is not None else None
        if defaults:
            defaults = binding.left_open(definition.signature, defaults, args, kwargs)
        call = core.loop.scope().next()
        run = self._run(call, definition, data, plain, defaults)
        return self.unawaited.made(call, definition.name, run, depth=3)

    async def _run(
        self,
        call: str,
        definition: StepDefinition,
        data: bytes,
        plain: tuple[Sequence[Any], Mapping[str, Any]] | None,
        defaults: dict[str, Any] | None,
    ) -> Any:
        core = self._core
        self.unawaited.begun(call)
        if core.forward.refuses:
            await core.forward.refused()
        if len(self.pending) >= PENDING_CALLS_MAX:
            raise LimitExceeded("PENDING_CALLS_MAX", PENDING_CALLS_MAX, "bound the fan-out, with a semaphore for example")
        retry = definition.retry or default_retry(core)
        pending = Pending(call, definition, data, plain, core.loop.create_future(), core.activation, retry)
        if defaults:
            pending.defaults = defaults
        pending.no_timeout = not (definition.timeout_ms or core.has_step_timeout)
        self.pending[call] = pending
        undo = definition.compensation
        if undo is not None:
            pending.entry = Entry(call, definition.name, undo, data, definition.signature)
            pending.entry.effect = UNDER_WAY if definition.effect else STANDS
            enlist(core, pending.entry)
        core.history.step(call, pending, core.loop.now_ms)
        core.want(pending.effect)
        try:
            return await pending.future
        except asyncio.CancelledError:
            self._cancel(call)
            raise

    def on_failure(self, definition: CompensationDefinition, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        core = self._core
        core.forward.check_cancelled()
        entry, event = registration(core.loop.scope().next, definition, args, kwargs)
        enlist(core, entry)
        core.ask(event, definition.signature)

    def effects(self) -> list[RunStep]:
        """What runs now, for a process that takes over."""
        return [pending.effect() for pending in self.pending.values()]

    def _cancel(self, call: str) -> None:
        core = self._core
        pending = self.pending.pop(call, None)
        if pending is None or core.loop.discarded:
            return
        never_started = pending.activation == core.activation
        if never_started:
            core.stack.not_needed(call)
            core.effects[:] = [one for one in core.effects if one.call != call]
        else:
            core.want(partial(CancelStep, call))
            self._in_doubt(pending)
        core.ask(h.Event(step_cancelled=h.StepCancelled(call=call, never_started=never_started)))

    def cancel_all(self) -> None:
        """Give up what is still pending when the forward part ends."""
        for call in list(self.pending):
            self._cancel(call)

    def committed(self, body: h.StepScheduled) -> None:
        """Replay met the intent: an attempt may have started, and what it was given is what stands in the history."""
        if (pending := self.pending.get(body.call)) is not None:
            pending.from_history, pending.data, pending.plain = True, body.input.data, None
        if (entry := self._core.stack.entries.get(body.call)) is not None:
            entry.data = body.input.data
            if body.HasField("defaults"):
                entry.defaults = body.defaults.data
                if pending is not None:
                    pending.kept_defaults = body.defaults.data

    # --- facts -----------------------------------------------------------------------------------------------------

    def wants(self, kind: str, fact: Any) -> bool:
        pending = self.pending.get(fact.call)
        if pending is not None:
            return bool(pending.attempt == fact.attempt)
        late, entry = self._cut_off.get(fact.call), self._core.stack.entries.get(fact.call)
        if late is None or entry is None or late.attempt != fact.attempt or entry.state not in (REGISTERED, RUNNING):
            return False
        return kind == "step_completed" or (kind == "step_failed" and fact.failure.not_applied)

    def _in_doubt(self, pending: Pending, error: BaseException | None = None) -> None:
        """It has ended without a recorded success."""
        entry = self._core.stack.entries.get(pending.call)
        if entry is None or not pending.definition.effect:
            return
        self._cut_off[pending.call] = pending
        entry.error = error
        entry.effect = STANDS if pending.definition.in_doubt_leave else IN_DOUBT

    def _late(self, call: str, result: Callable[[], Any] | None) -> None:
        """What the attempt of a step that had failed or was cancelled says in the end. Where its compensation was begun, that
        waits for the attempt: it is begun anew with the result, or given up."""
        core, entry = self._core, self._core.stack.entries[call]
        del self._cut_off[call]
        was = entry.state
        if result is None:
            if core.stack.not_needed(call) and was == RUNNING:
                core.want(partial(CancelStep, call))
            return
        entry.result = result
        if was == RUNNING:
            core.want(partial(core.unwinding.effect, entry))

    def decode(self, fact: h.StepCompleted) -> Decode | None:
        """What completed() will decode; None: nothing."""
        pending = self.pending.get(fact.call)
        return None if pending is None else partial(pending.result, fact.result.data)

    def completed(self, fact: h.StepCompleted) -> None:
        pending = self.pending.pop(fact.call, None)
        if pending is None:
            self._late(fact.call, partial(self._late_result, self._cut_off[fact.call], fact.result.data))
            return
        self._core.urgent |= pending.definition.effect
        value, self._core.given = self._core.given, NOT_DECODED
        if value is NOT_DECODED:
            value = pending.result(fact.result.data)
        entry = self._core.stack.entries.get(fact.call)
        if entry is not None:
            entry.result = partial(pending.result, fact.result.data)
            entry.effect = STANDS
            if self._core.holding.past_pivot:
                entry.step("pivot")
        if pending.definition.pivot:
            self._core.holding.pass_pivot()
        if not pending.future.done():
            pending.future.set_result(value)

    def attempt_failed(self, fact: h.StepAttemptFailed) -> None:
        pending = self.pending[fact.call]
        pending.attempt = fact.attempt + 1
        pending.not_before_ms = fact.retry_at_ms
        pending.interruptions += fact.interrupted
        pending.from_history = self._core.history.replaying  # the next attempt may have started where this was committed
        self._core.urgent |= fact.interrupted or fact.retry_at_ms - self._core.loop.now_ms > BACKOFF_UNCOMMITTED_MS_MAX
        self._core.want(pending.effect)

    def failed(self, fact: h.StepFailed) -> None:
        pending = self.pending.pop(fact.call, None)
        if pending is None:
            self._late(fact.call, None)
            return
        error = rebuild_exception(fact.failure, step=pending.definition.name, call=fact.call)
        if fact.failure.not_applied:
            self._core.stack.not_needed(fact.call)
        else:
            self._in_doubt(pending, error)
        if fact.HasField("result"):
            self._returned_all_the_same(fact)

        def tell() -> None:
            if not pending.future.done():
                pending.future.set_exception(error)

        entry = self._core.stack.entries.get(fact.call)
        if entry is not None and entry.definition.immediate and entry.state == REGISTERED:
            self._core.unwinding.at_once(entry, fact.failure, error, then=tell)
        else:
            tell()

    def _returned_all_the_same(self, fact: h.StepFailed) -> None:
        """A result that does not fit its annotation failed the step; what undoes it gets it."""
        if (entry := self._core.stack.entries.get(fact.call)) is not None:
            entry.result = partial(codec.decode, fact.result.data, where=f"rejected result of call {fact.call}")

    @staticmethod
    def _late_result(pending: Pending, data: bytes) -> Any:
        """None where it can't be read: the compensation runs all the same."""
        try:
            return pending.result(data)
        except DecodeError:
            return None


def compensation_arguments(entry: Entry) -> tuple[Sequence[Any], dict[str, Any]]:
    """The step's arguments by their names, defaults too; where it asks for them, its result (None: it never returned) and what
    led to the unwind."""
    args, kwargs = codec.decode_call(entry.data or b"", entry.signature)
    arguments = binding.bound(entry.signature, args, kwargs, entry.defaults)
    more: dict[str, Any] = {"result": entry.last_result()} if entry.definition.takes_result else {}
    if entry.definition.takes_error:
        more["error"] = entry.cause
        if "error" in arguments and "error" not in entry.signature.bind_partial(*args, **kwargs).arguments:
            del arguments["error"]  # of on_failure(): its default is for who calls it by hand
    return binding.call_of(entry.definition.signature, entry.signature, arguments, more=more)


def registration(
    next_call: Callable[[], str], definition: CompensationDefinition, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Entry, h.Event]:
    """What on_failure() asks for; the arguments are fixed at the call. Raises TypeError and NotSerializable."""
    signature = definition.signature
    given = signature.bind_partial(*args, **kwargs).arguments
    asked = ["result"] * definition.takes_result + ["error"] * definition.takes_error
    signature.bind(*args, **{name: None for name in asked if name not in given}, **kwargs)
    data = codec.encode_call(
        args, kwargs, where=f"compensation {definition.name}", signature=signature, function=definition.function,
    )  # fmt: skip
    entry = Entry(next_call(), definition.name, definition, data, signature)
    event = h.Event(compensation_registered=h.CompensationRegistered(call=entry.call, name=entry.name))
    event.compensation_registered.input.data = data
    if left := binding.left_open(signature, definition.defaults, args, kwargs):
        entry.defaults = codec.encode(left, where=f"defaults of {definition.name}")
        event.compensation_registered.defaults.data = entry.defaults
    return entry, event
