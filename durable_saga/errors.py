"""Every error of durable-saga, as a tree. An `except` for one of them catches those below it too.

    DurableSagaError
    ├── ClientError                what a client gets
    │   ├── NotFound               no such saga: check the id and the namespace
    │   ├── AlreadyStarted         the id belongs to a saga of another type or with other arguments: use another id
    │   ├── InvalidArgument        the request is wrong; the message says what and what to do
    │   ├── AlreadyEnded           the saga takes no more messages
    │   ├── Exhausted              a limit is reached; .retry_after seconds, None where trying again does not help
    │   ├── NotAllowed             the caller is unknown or lacks a role: use another token, or get the role
    │   │   └── NotKnown           no token or certificate, or one that is wrong, expired or revoked
    │   ├── Unavailable            the server or its journal can't be reached: try again later
    │   ├── NotAnswered            nobody can answer a query: the code is not here, and no worker has it
    │   ├── QueryFailed            a query raised an error (.failure)
    │   └── SagaError              the saga did not complete (.failure, .saga)
    │       ├── SagaFailed         failed, and there was nothing to undo
    │       ├── SagaCompensated    failed, and everything was undone
    │       ├── SagaCancelled      cancelled, and everything was undone
    │       ├── SagaTerminated     ended by force, without undoing anything
    │       ├── SagaStuck          a compensation needs an operator; the saga is still open
    │       └── SagaHeld           its code failed and it waits for recover or compensate; it is still open
    ├── StepError                  what saga code gets from a step
    │   ├── StepFailed             the step failed for good; .type, .code, .details, .step, .call
    │   ├── StepTimedOut           an attempt took too long; its effect may have happened
    │   ├── StepInterrupted        an attempt was cut off, at_most_once or too often; its effect may have happened
    │   └── ResultRejected         a result does not fit its annotation or can't be journaled; its effect happened
    ├── NotApplied                 raised by a step: the effect did not happen, there is nothing to undo
    ├── LifespanFailed             a worker's resources could not be opened: it does not start
    ├── HookFailed                 a hook did not call go_on(), called it twice or took too long; the message names it
    ├── SagaTimedOut               the saga took longer than its timeout; it unwinds
    ├── DefinitionError            the table of a declared saga is wrong; names file and line
    ├── CompensationRequested      somebody asked for the saga to be compensated; it unwinds
    ├── EventTimedOut              an event did not come in time
    ├── NotAwaited                 saga code called a step or a child saga without await, so nothing was done
    ├── TooManyFailed              more members of all_of() failed than may (.errors)
    ├── SwallowedCancellation      saga code caught a cancellation and went on waiting
    ├── CannotUndo                 a compensation can't be run from the journal; the message says what is missing
    ├── NonDeterminism             the code does not fit the history: deploy code that fits
    ├── FutureEventKind            the history was written by a newer version: upgrade
    ├── UnsupportedOperation       saga code asked for something that can't be replayed; the message says what to do instead
    ├── BlockingCall               saga code used a file, socket, thread or process: do it in a step
    ├── NotSerializable            a value can't be journaled; names its type and the path to it
    │   └── WrongType              the value does not have the type of its annotation
    ├── DecodeError                a journaled value does not fit the annotation; names the place
    ├── CannotOpen                 a sealed value can't be opened here
    │   ├── MissingKey             the key, or the codec, is not here: add it, and what waits continues
    │   └── SealBroken             the value was changed, or belongs to another saga
    └── LimitExceeded              a limit is reached: .limit, .value; the message says what to do

A client raises the errors under ClientError. The others are for saga code, and for those who write or run it.
"""

from __future__ import annotations

from typing import Any

from durable_saga.failure_info import FailureInfo


class DurableSagaError(Exception):
    """The base of every error here."""


class ClientError(DurableSagaError):
    """The base of what a client raises."""


class NotFound(ClientError):
    """There is no such saga: check the id and the namespace."""


class AlreadyStarted(ClientError):
    """The id belongs to a saga of another type, or with other arguments; the message shows both. Nothing was started."""


class InvalidArgument(ClientError):
    """The request is wrong; the message says what and what to do."""


class AlreadyEnded(ClientError):
    """The saga takes no more messages, or this can't be asked of it any more: it has ended, is unwinding, or is past its
    pivot."""


class Exhausted(ClientError):
    """A limit is reached: the saga has too many unread messages, the journal's disk is full, or too many sagas have a key.
    Nothing was written. The message says what to do. `retry_after` is in seconds, or None if trying again does not help."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class NotAllowed(ClientError):
    """The server does not know the caller (it showed no valid certificate or token), or the caller lacks the role that this
    call needs; the message says which. Nothing was done, and the same call fails until somebody changes that."""


class NotKnown(NotAllowed):
    """The server does not know the caller: nothing was shown, or what was shown is wrong, expired or revoked."""


class Unavailable(ClientError):
    """The server or its journal can't be reached. What was not acknowledged may be sent again with the same id."""


class NotAnswered(ClientError):
    """Nobody can answer the query: the saga's code is not in this process and no worker with it is connected, or its history
    can't be read. The message says which."""


class QueryFailed(ClientError):
    """A query raised an error: `failure` is that error with its traceback. Where its class is known here, it is also the
    cause."""

    def __init__(self, message: str, failure: FailureInfo | None = None) -> None:
        self.failure = failure
        super().__init__(message)


class SagaError(ClientError):
    """A saga did not complete. `saga` is its id, `failure` what went wrong, or None if nothing did."""

    def __init__(self, saga: str, failure: FailureInfo | None = None, words: str = "did not complete") -> None:
        self.saga = saga
        self.failure = failure
        self.words = words
        super().__init__(saga, words)

    def __str__(self) -> str:
        head = f"saga {self.saga} {self.words}"
        return head if self.failure is None else f"{head}\n{render_failure(self.failure)}"


class SagaFailed(SagaError):
    """The saga failed, and there was nothing to undo."""


class SagaCompensated(SagaError):
    """The saga failed, and everything was undone."""


class SagaCancelled(SagaError):
    """The saga was cancelled, and everything was undone."""


class SagaTerminated(SagaError):
    """The saga was ended by force, without undoing anything."""


class SagaStuck(SagaError):
    """A compensation has used up its policy; the saga waits for an operator."""


class SagaHeld(SagaError):
    """Its code failed; the saga waits for recover or compensate."""


class StepError(DurableSagaError):
    """The base of what saga code gets from a step."""


class StepFailed(StepError):
    """The step failed for good. If the step's own exception class is known here and can be made, that exception is raised
    instead, with this one as its cause. `details` are the attributes of the step's exception that the journal keeps."""

    def __init__(self, message: str, *, failure: FailureInfo, step: str, call: str) -> None:
        super().__init__(message)
        self.failure = failure
        self.step = step
        self.call = call
        self.details: dict[str, Any] = {}
        self._recorded: Any = None  # the failure as the journal has it

    def __str__(self) -> str:
        return self.failure.message

    @property
    def type(self) -> str:
        return self.failure.type

    @property
    def code(self) -> str:
        return self.failure.code


class StepTimedOut(StepError, TimeoutError):
    """An attempt took longer than its timeout; its effect may have happened."""


class StepInterrupted(StepError):
    """Workers that died cut off an attempt of an at_most_once step, or the attempts of another step INTERRUPTIONS_MAX times.
    The effect may have happened."""


class ResultRejected(StepError):
    """A step returned a value that does not fit its return annotation or can't be journaled. Its effect happened, so it is
    not tried again. Its compensation gets the value, if it can be journaled."""


class NotApplied(DurableSagaError):
    """Raised by a step to say that its effect did not happen: it is not tried again, and there is nothing to undo."""


class LifespanFailed(DurableSagaError):
    """A worker's resources could not be opened, so it does not start. The message has file and line; the cause is what went
    wrong."""


class HookFailed(DurableSagaError):
    """A hook did not call `go_on()`, called it twice, or took too long. An attempt that ends so is tried again as its policy
    says."""


class SagaTimedOut(DurableSagaError):
    """The saga took longer than its timeout; it unwinds."""


class DefinitionError(DurableSagaError, ValueError):
    """The definition of a declared saga is wrong; the message has file and line."""


class CompensationRequested(DurableSagaError):
    """Somebody asked for the saga to be compensated."""


class EventTimedOut(DurableSagaError, TimeoutError):
    """An event did not come in time."""


class NotAwaited(DurableSagaError):
    """Saga code called a step or a child saga without `await`, so nothing was done."""


class TooManyFailed(DurableSagaError):
    """More members of `all_of()` failed than it tolerates. `errors` are theirs, in the order of the members."""

    def __init__(self, message: str, errors: list[Exception]) -> None:
        self.errors = errors
        super().__init__(message, errors)

    def __str__(self) -> str:
        return f"{self.args[0]}; first: {self.errors[0]}" if self.errors else str(self.args[0])


class SwallowedCancellation(DurableSagaError):
    """Saga code caught a cancellation and went on waiting."""


class NonDeterminism(DurableSagaError):
    """The code asks for something else than the history holds. The saga waits until a worker has code that fits."""

    def __init__(self, history: str, code: str, location: str) -> None:
        self.history = history
        self.code = code
        self.location = location
        super().__init__(history, code, location)

    def __str__(self) -> str:
        return (
            f"{self.location}: the history holds {self.history}, but the code asked for {self.code}. The saga waits until a"
            " worker has the code that made this history"
        )


class CannotUndo(DurableSagaError):
    """A saga is undone from its journal, without its code, and a compensation of it can't be run: the worker's modules don't
    have its function, or can't read what it needs. The message says which. The compensation is stuck."""


class FutureEventKind(DurableSagaError):
    """The history holds an event kind that this version doesn't know: upgrade."""


class UnsupportedOperation(DurableSagaError):
    """Saga code asked for something that can't be replayed; the message says what to do instead."""


class BlockingCall(DurableSagaError):
    """Saga code used a file, socket, thread or process: do it in a step."""


class NotSerializable(DurableSagaError):
    """A value can't be journaled; the message names its type and the path to it."""


class WrongType(NotSerializable):
    """A value does not have the type of its annotation, so it would not come back as it is."""


class DecodeError(DurableSagaError):
    """A journaled value does not fit the annotation; the message names the place."""


class CannotOpen(DurableSagaError):
    """A sealed value can't be opened here."""


class MissingKey(CannotOpen):
    """The key, or the codec, is not here; the message says which. Nothing is lost."""


class SealBroken(CannotOpen):
    """A sealed value was changed, cut off, or made for another place; or the key with that id is another one."""


class LimitExceeded(DurableSagaError):
    """A limit is reached. `limit` is its name, `value` its value; the message says what to do."""

    def __init__(self, limit: str, value: int, advice: str) -> None:
        self.limit = limit
        self.value = value
        super().__init__(f"{limit} is {value}: {advice}")


def render_failure(failure: FailureInfo) -> str:
    """A failure as Python prints an exception: the user's frames, type and message, then its members and the causes."""
    lines = [failure.traceback.rstrip("\n")] if failure.traceback else []
    lines.append(f"{failure.type}: {failure.message}")
    lines += [f"  ({note})" for note in failure.notes]
    for place, member in enumerate(failure.members, 1):
        inner = render_failure(member).replace("\n", "\n    ")
        lines.append(f"  member {place} of {len(failure.members)}:\n    {inner}")
    if failure.cause is not None:
        lines.append(f"caused by\n{render_failure(failure.cause)}")
    return "\n".join(lines)
