"""How a run ends, and what stands before its end: it is undone, or what is in doubt is settled, or it is held for a person."""

from __future__ import annotations

from functools import partial
from typing import Any

from durable_saga import codec
from durable_saga.definition.definition import SagaDefinition
from durable_saga.errors import LimitExceeded, NotSerializable
from durable_saga.failures.failures import failure_from_exception
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay.attributes import Attributes
from durable_saga.replay.calls import Calls
from durable_saga.replay.holding import Holding
from durable_saga.replay.keys import Keys
from durable_saga.replay.phases import ENDED
from durable_saga.replay.signals import Signals
from durable_saga.replay.standing import Standing
from durable_saga.replay.state import State
from durable_saga.replay.tape import Tape
from durable_saga.replay.unwinding import Unwinding


class Ending:
    """Takes the run from its forward part to its end."""

    __slots__ = (
        "_attributes", "_calls", "_definition", "_holding", "_keys", "_signals", "_standing", "_state", "_tape", "_unwinding",
    )  # fmt: skip

    def __init__(
        self, definition: SagaDefinition, tape: Tape, standing: Standing, calls: Calls, state: State, attributes: Attributes,
        keys: Keys, signals: Signals, holding: Holding, unwinding: Unwinding,
    ) -> None:  # fmt: skip
        self._definition, self._tape, self._standing, self._calls, self._state = definition, tape, standing, calls, state
        self._attributes, self._keys, self._signals = attributes, keys, signals
        self._holding, self._unwinding = holding, unwinding

    @property
    def is_to_be_held(self) -> bool:
        """Whether an error of the saga's code leads to a person instead of an unwind."""
        standing = self._standing
        wanted = self._definition.hold or standing.failed_child is not None
        return standing.past_pivot or (wanted and not standing.asked_for)

    def fail(self, error: BaseException) -> None:
        self._leave_forward()
        failure = failure_from_exception(error)
        if self.is_to_be_held:
            self._holding.hold(failure, error)
        else:
            self.unwind(failure, error, cancels=self._standing.cancels)

    def unwind_held(self, reason: BaseException, *, cancels: bool) -> None:
        """A person has it compensated."""
        self.unwind(self._holding.failure, self._holding.error or reason, cancels=cancels)

    def complete(self, result: Any) -> None:
        self._leave_forward()
        definition = self._definition
        try:
            data = codec.encode(
                result, where=f"result of saga {definition.name}", annotation=definition.result_type,
                function=definition.function,
            )  # fmt: skip
        except (NotSerializable, LimitExceeded) as error:
            self.fail(error)
            return
        self._unwinding.settle(partial(self._end, h.COMPLETED, result=data), result=data)

    def go_on_in_next_run(self, data: bytes) -> None:
        self._leave_forward()
        self._unwinding.settle(partial(self._continue, data))

    def terminate(self, status: h.Status = h.TERMINATED) -> None:
        """At once; that is all that is recorded."""
        self._standing.phase, self._standing.status = ENDED, status

    def _leave_forward(self) -> None:
        self._calls.cancel_all()
        self._state.flush()

    def unwind(self, failure: p.Failure, error: BaseException, *, cancels: bool) -> None:
        self._unwinding.start(failure, error, cancelled=cancels, end=partial(self._end, failure=failure))

    def _continue(self, data: bytes) -> None:
        self._end(h.CONTINUED, following=h.Continuation(
            input=p.Payload(data=data), keys=list(self._keys.held), carried=self._signals.kept(),
            attributes=self._attributes.values, pause=self._standing.pause,
        ))  # fmt: skip

    def _end(
        self, status: h.Status, *, result: bytes | None = None, failure: p.Failure | None = None,
        following: h.Continuation | None = None,
    ) -> None:  # fmt: skip
        self._standing.phase, self._standing.status = ENDED, status
        unread = self._signals.undecodable if following is not None else self._signals.unread()
        end = h.SagaEnded(status=h.Status.Name(status), failure=failure, unread=unread, next=following)
        if result is not None:
            end.result.data = result
        self._tape.ask(h.Event(saga_ended=end), self._definition.result_type)
