"""The steps that a run waits for: scheduled by its code, resolved by facts, each exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from durable_saga import codec
from durable_saga.definition import CompensationDefinition, StepDefinition
from durable_saga.errors import LimitExceeded, rebuild_exception
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.arguments import Difference, calls_differ, encode_plain
from durable_saga.replay.commands import CancelStep, RunStep
from durable_saga.replay.loop import Discarded, waiting_at
from durable_saga.replay.scopes import current_scope, default_retry
from durable_saga.replay.unwind import REGISTERED, Entry
from durable_saga.retry import Retry

if TYPE_CHECKING:
    from durable_saga.replay.run import Core

PENDING_CALLS_MAX = 2_000
BACKOFF_UNCOMMITTED_MS_MAX = 1_000
SURELY_SMALL = 1_000
_SIZED = frozenset({str, bytes})
_COPY_FREE = frozenset({*_SIZED, int, float, bool, type(None)})


@dataclass(slots=True)
class Pending:
    """A step between its intent and its outcome, and what a replay compares with the history. `from_history`: this attempt may
    have started in another process."""

    call: str
    definition: StepDefinition
    data: bytes | None
    plain: tuple[Sequence[Any], Mapping[str, Any]] | None
    future: asyncio.Future[Any]
    activation: int
    retry: Retry | None
    entry: Entry | None = None
    attempt: int = 1
    not_before_ms: int = 0
    from_history: bool = False

    @property
    def name(self) -> str:
        return self.definition.name

    def undo(self) -> str:
        undo = self.definition.compensation
        return "" if undo is None else undo.name

    def place(self) -> str:
        return waiting_at(self.future.get_loop(), self.call)

    def differs(self, body: h.StepScheduled) -> Difference | None:
        given = self.data
        if given is None:
            assert self.plain is not None, "arguments that are not encoded are plain"
            given = encode_plain(*self.plain)
        held = body.input
        return None if held.data == given else calls_differ(held, given, self.definition.signature)

    def make(self) -> h.Event:
        """The intent. A replay comes here only with what its history does not have."""
        definition = self.definition
        if self.data is None:
            assert self.plain is not None, "arguments that are not encoded are plain"
            self.data = codec.encode_call(*self.plain, where=f"step {definition.name}")
            if self.entry is not None:
                self.entry.data = self.data
        event = h.Event()
        asked = event.step_scheduled
        asked.call, asked.name, asked.input.data = self.call, definition.name, self.data
        if definition.compensation is not None:
            asked.compensation = definition.compensation.name
        if not definition.effect:
            asked.no_effect = True
        if definition.at_most_once:
            asked.at_most_once = True
        return event

    def effect(self) -> RunStep:
        """The step gets its own copy of the arguments, as they stand in the journal."""
        args, kwargs = self.plain or codec.decode_call(self.data or b"", self.definition.signature)
        return RunStep(
            self.call, self.definition, args, kwargs, self.attempt, self.not_before_ms, self.from_history, self.retry,
        )  # fmt: skip


class Calls:
    """Owns the pending steps of one run."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.pending: dict[str, Pending] = {}

    def call(self, definition: StepDefinition, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Coroutine[Any, Any, Any]:
        """What calling a step inside a saga gives. The call id and the arguments are fixed here, at the call."""
        core = self._core
        if core.loop.discarded:
            raise Discarded
        if kwargs or not definition.takes(len(args)):
            definition.signature.bind(*args, **kwargs)  # raises TypeError
        is_copy_free, is_small = _look_at((*args, *kwargs.values()) if kwargs else args)
        plain = (args, kwargs) if is_copy_free else None
        surely = is_copy_free and is_small and core.history.replaying
        data = None if surely else codec.encode_call(args, kwargs, where=f"step {definition.name}")
        return self._run(core.loop.scope().next(), definition, data, plain)

    async def _run(
        self,
        call: str,
        definition: StepDefinition,
        data: bytes | None,
        plain: tuple[Sequence[Any], Mapping[str, Any]] | None,
    ) -> Any:
        core = self._core
        core.check_cancelled()
        if len(self.pending) >= PENDING_CALLS_MAX:
            raise LimitExceeded("PENDING_CALLS_MAX", PENDING_CALLS_MAX, "bound the fan-out, with a semaphore for example")
        retry = definition.retry or default_retry(core)
        pending = Pending(call, definition, data, plain, core.loop.create_future(), core.activation, retry)
        self.pending[call] = pending
        undo = definition.compensation
        if undo is not None:
            pending.entry = Entry(call, definition.name, undo, data, definition.signature)
            core.stack.register(pending.entry, current_scope(core))
        core.history.step(call, pending, core.loop.now_ms)
        core.want(pending.effect)
        try:
            return await pending.future
        except asyncio.CancelledError:
            self._cancel(call)
            raise

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

    # --- facts -----------------------------------------------------------------------------------------------------

    def completed(self, fact: h.StepCompleted) -> None:
        pending = self.pending.pop(fact.call)
        self._core.urgent |= pending.definition.effect
        what = f"result of step {pending.definition.name}"
        value = codec.decode(fact.result.data, pending.definition.result_type, where=what)
        entry = self._core.stack.entries.get(fact.call)
        if entry is not None:
            entry.result = partial(codec.decode, fact.result.data, pending.definition.result_type, where=what)
        if pending.definition.pivot:
            self._core.holding.pass_pivot()
        if not pending.future.done():
            pending.future.set_result(value)

    def attempt_failed(self, fact: h.StepAttemptFailed) -> None:
        pending = self.pending[fact.call]
        pending.attempt = fact.attempt + 1
        pending.not_before_ms = fact.retry_at_ms
        pending.from_history = self._core.history.replaying  # the next attempt may have started where this was committed
        self._core.urgent |= fact.retry_at_ms - self._core.loop.now_ms > BACKOFF_UNCOMMITTED_MS_MAX
        self._core.want(pending.effect)

    def failed(self, fact: h.StepFailed) -> None:
        pending = self.pending.pop(fact.call)
        if fact.failure.not_applied:
            self._core.stack.not_needed(fact.call)
        error = rebuild_exception(fact.failure, step=pending.definition.name, call=fact.call)

        def tell() -> None:
            if not pending.future.done():
                pending.future.set_exception(error)

        entry = self._core.stack.entries.get(fact.call)
        if entry is not None and entry.definition.immediate and entry.state == REGISTERED:
            self._core.unwinding.at_once(entry, fact.failure, then=tell)
        else:
            tell()


def _look_at(values: Sequence[Any]) -> tuple[bool, bool]:
    """Whether none of the arguments can be changed by whom they are given to, and none of those is long."""
    is_small = True
    for value in values:
        kind = type(value)
        if kind not in _COPY_FREE:
            return False, is_small
        if kind in _SIZED and len(value) > SURELY_SMALL:
            is_small = False
    return True, is_small


def compensation_arguments(entry: Entry) -> tuple[Sequence[Any], dict[str, Any]]:
    """The step's arguments, and its result (None: it never returned) where the compensation asks for one."""
    args, kwargs = codec.decode_call(entry.data or b"", entry.signature)
    return args, {"result": entry.result(), **kwargs} if entry.definition.takes_result else dict(kwargs)


def encode_registered(definition: CompensationDefinition, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
    """Fix the arguments of on_failure() at the call."""
    definition.signature.bind(*args, **({"result": None, **kwargs} if definition.takes_result else kwargs))
    return codec.encode_call(args, kwargs, where=f"compensation {definition.name}")
