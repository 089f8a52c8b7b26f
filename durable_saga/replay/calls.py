"""The steps that a run waits for: scheduled by its code, resolved by facts, each exactly once.

A step that failed or was cancelled is in doubt for as long as its compensation is open. What its attempt says after that is
taken too: a result goes to the compensation, and the proof that nothing happened makes it needless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from durable_saga import codec
from durable_saga.definition import binding
from durable_saga.definition.definition import CompensationDefinition, SagaDefinition, StepDefinition
from durable_saga.errors import DecodeError, LimitExceeded
from durable_saga.failures.failures import rebuild_exception
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.aside import Decode
from durable_saga.replay.carrying import of_message
from durable_saga.replay.commands import NOT_DECODED, CancelStep, RunStep
from durable_saga.replay.holding import Holding
from durable_saga.replay.loop import SagaLoop
from durable_saga.replay.pending import Pending
from durable_saga.replay.standing import Standing
from durable_saga.replay.surroundings import default_retry, enlist
from durable_saga.replay.tape import Tape
from durable_saga.replay.unawaited import Unawaited
from durable_saga.replay.undoing import attempt_of, registration
from durable_saga.replay.unwind import IN_DOUBT, REGISTERED, RUNNING, STANDS, UNDER_WAY, Entry, Stack
from durable_saga.replay.unwinding import Unwinding

PENDING_CALLS_MAX = 2_000
BACKOFF_UNCOMMITTED_MS_MAX = 1_000
_COPY_FREE = frozenset({str, bytes, int, float, bool, type(None)})
"""Of arguments that nobody can change behind the caller's back."""


class Calls:
    """Owns the pending steps of one run. `has_step_timeout`: steps without a time-out of their own have one of their worker."""

    __slots__ = (
        "_cut_off", "_definition", "_holding", "_loop", "_stack", "_standing", "_tape", "_unawaited", "_unwinding",
        "has_step_timeout", "pending",
    )  # fmt: skip

    def __init__(
        self, definition: SagaDefinition, tape: Tape, standing: Standing, loop: SagaLoop, stack: Stack, holding: Holding,
        unwinding: Unwinding, unawaited: Unawaited,
    ) -> None:  # fmt: skip
        self._definition = definition
        self._tape, self._standing, self._loop = tape, standing, loop
        self._stack, self._holding, self._unwinding, self._unawaited = stack, holding, unwinding, unawaited
        self.pending: dict[str, Pending] = {}
        self.has_step_timeout = False
        self._cut_off: dict[str, Pending] = {}  # failed or cancelled, with a compensation: their attempts may still tell

    def call(self, definition: StepDefinition, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Coroutine[Any, Any, Any]:
        """What calling a step inside a saga gives. The call id and the arguments are fixed here, at the call."""
        loop = self._loop
        if loop.discarded:
            return loop.refused()
        if self._standing.judging:
            self._standing.check_not_asked(f"step {definition.name} can't be called")
        if kwargs or not definition.takes(len(args)):
            definition.signature.bind(*args, **kwargs)  # raises TypeError
        data = codec.encode_call(
            args, kwargs, where=definition.where, signature=definition.signature, function=definition.function,
        )  # fmt: skip
        plain = (args, kwargs) if _COPY_FREE.issuperset(map(type, (*args, *kwargs.values()) if kwargs else args)) else None
        defaults = definition.defaults if definition.compensation is not None else None
        if defaults:
            defaults = binding.left_open(definition.signature, defaults, args, kwargs)
        call = loop.scope().next()
        run = self._run(call, definition, data, plain, defaults)
        return self._unawaited.made(call, definition.name, run, depth=3)

    async def _run(
        self,
        call: str,
        definition: StepDefinition,
        data: bytes,
        plain: tuple[Sequence[Any], Mapping[str, Any]] | None,
        defaults: dict[str, Any] | None,
    ) -> Any:
        tape = self._tape
        self._unawaited.begun(call)
        standing = self._standing
        if standing.stop is not None and standing.refuses:
            await self._loop.refused()
        if len(self.pending) >= PENDING_CALLS_MAX:
            raise LimitExceeded("PENDING_CALLS_MAX", PENDING_CALLS_MAX, "bound the fan-out, with a semaphore for example")
        retry = definition.retry or default_retry(self._definition)
        pending = Pending(call, definition, data, plain, self._loop.create_future(), tape.activation, retry)
        if defaults:
            pending.defaults = defaults
        pending.is_kept_back, pending.carried = standing.is_paused, of_message.get()
        pending.no_timeout = not (definition.timeout_ms or self.has_step_timeout)
        self.pending[call] = pending
        undo = definition.compensation
        if undo is not None:
            pending.entry = Entry(call, definition.name, undo, data, definition.signature)
            pending.entry.effect = UNDER_WAY if definition.effect else STANDS
            enlist(self._stack, pending.entry)
        tape.history.step(call, pending, tape.now_ms)
        tape.want(pending.effect)
        try:
            return await pending.future
        except asyncio.CancelledError:
            self._cancel(call)
            raise

    def on_failure(self, definition: CompensationDefinition, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._standing.check_cancelled()
        entry, event = registration(self._loop.scope().next, definition, args, kwargs)
        enlist(self._stack, entry)
        if entry.told:
            event.compensation_registered.scope = entry.told
        self._tape.ask(event, definition.signature)

    def effects(self) -> list[RunStep]:
        """What runs now, for a process that takes over."""
        return [pending.effect() for pending in self.pending.values()]

    def _cancel(self, call: str) -> None:
        tape = self._tape
        pending = self.pending.pop(call, None)
        if pending is None or self._loop.discarded:
            return
        is_new = pending.activation == tape.activation
        never_started = is_new or (pending.is_kept_back and pending.attempt == 1)
        if never_started:
            self._stack.not_needed(call)
            tape.effects[:] = [one for one in tape.effects if one.call != call]
        else:
            self._in_doubt(pending)
        if not is_new:
            tape.want(partial(CancelStep, call))
        tape.ask(h.Event(step_cancelled=h.StepCancelled(call=call, never_started=never_started)))

    def cancel_all(self) -> None:
        """Give up what is still pending when the forward part ends."""
        for call in list(self.pending):
            self._cancel(call)

    def committed(self, body: h.StepScheduled) -> None:
        """Replay met the intent: an attempt may have started, and what it was given is what stands in the history."""
        if (pending := self.pending.get(body.call)) is not None:
            pending.from_history, pending.data, pending.plain = not pending.is_kept_back, body.input.data, None
        if (entry := self._stack.entries.get(body.call)) is not None:
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
        late, entry = self._cut_off.get(fact.call), self._stack.entries.get(fact.call)
        if late is None or entry is None or late.attempt != fact.attempt or entry.state not in (REGISTERED, RUNNING):
            return False
        return kind == "step_completed" or (kind == "step_failed" and fact.failure.not_applied)

    def _in_doubt(self, pending: Pending, error: BaseException | None = None) -> None:
        """It has ended without a recorded success."""
        entry = self._stack.entries.get(pending.call)
        if entry is None or not pending.definition.effect:
            return
        self._cut_off[pending.call] = pending
        entry.error = error
        entry.effect = STANDS if pending.definition.in_doubt_leave else IN_DOUBT

    def _late(self, call: str, result: Callable[[], Any] | None) -> None:
        """What the attempt of a step that had failed or was cancelled says in the end. Where its compensation was begun, that
        waits for the attempt: it is begun anew with the result, or given up."""
        entry = self._stack.entries[call]
        del self._cut_off[call]
        was = entry.state
        if result is None:
            if self._stack.not_needed(call) and was == RUNNING:
                self._tape.want(partial(CancelStep, call))
            return
        entry.result = result
        if was == RUNNING:
            self._tape.want(partial(attempt_of, entry))

    def decode(self, fact: h.StepCompleted) -> Decode | None:
        """What completed() will decode; None: nothing."""
        pending = self.pending.get(fact.call)
        return None if pending is None else partial(pending.result, fact.result.data)

    def completed(self, fact: h.StepCompleted) -> None:
        pending = self.pending.pop(fact.call, None)
        if pending is None:
            self._late(fact.call, partial(self._late_result, self._cut_off[fact.call], fact.result.data))
            return
        tape = self._tape
        tape.urgent |= pending.definition.effect
        value, tape.given = tape.given, NOT_DECODED
        if value is NOT_DECODED:
            value = pending.result(fact.result.data)
        entry = self._stack.entries.get(fact.call)
        if entry is not None:
            entry.result = partial(pending.result, fact.result.data)
            entry.effect = STANDS
            if self._standing.past_pivot:
                entry.step("pivot")
        if pending.definition.pivot:
            self._holding.pass_pivot()
        if not pending.future.done():
            pending.future.set_result(value)

    def attempt_failed(self, fact: h.StepAttemptFailed) -> None:
        tape, pending = self._tape, self.pending[fact.call]
        pending.attempt = fact.attempt + 1
        pending.not_before_ms = fact.retry_at_ms
        pending.interruptions += fact.interrupted
        pending.is_kept_back = self._standing.is_paused
        pending.from_history = tape.is_replaying and not pending.is_kept_back  # it may have started where this was committed
        tape.urgent |= fact.interrupted or fact.retry_at_ms - tape.now_ms > BACKOFF_UNCOMMITTED_MS_MAX
        tape.want(pending.effect)

    def failed(self, fact: h.StepFailed) -> None:
        pending = self.pending.pop(fact.call, None)
        if pending is None:
            self._late(fact.call, None)
            return
        error = rebuild_exception(fact.failure, step=pending.definition.name, call=fact.call)
        if fact.failure.not_applied:
            self._stack.not_needed(fact.call)
        else:
            self._in_doubt(pending, error)
        if fact.HasField("result"):
            self._returned_all_the_same(fact)

        def tell() -> None:
            if not pending.future.done():
                pending.future.set_exception(error)

        entry = self._stack.entries.get(fact.call)
        if entry is not None and entry.definition.immediate and entry.state == REGISTERED:
            self._unwinding.at_once(entry, fact.failure, error, then=tell)
        else:
            tell()

    def _returned_all_the_same(self, fact: h.StepFailed) -> None:
        """A result that does not fit its annotation failed the step; what undoes it gets it."""
        if (entry := self._stack.entries.get(fact.call)) is not None:
            entry.result = partial(codec.decode, fact.result.data, where=f"rejected result of call {fact.call}")

    @staticmethod
    def _late_result(pending: Pending, data: bytes) -> Any:
        """None where it can't be read: the compensation runs all the same."""
        try:
            return pending.result(data)
        except DecodeError:
            return None
