from durable_saga.pb import payload_pb2 as _payload_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATUS_UNSPECIFIED: _ClassVar[Status]
    RUNNING: _ClassVar[Status]
    COMPENSATING: _ClassVar[Status]
    COMPENSATION_STUCK: _ClassVar[Status]
    COMPLETED: _ClassVar[Status]
    COMPENSATED: _ClassVar[Status]
    FAILED: _ClassVar[Status]
    CANCELLED: _ClassVar[Status]
    TERMINATED: _ClassVar[Status]
    HELD: _ClassVar[Status]
    CONTINUED: _ClassVar[Status]

class SubState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUB_STATE_UNSPECIFIED: _ClassVar[SubState]
    BLOCKED: _ClassVar[SubState]
    PAUSED: _ClassVar[SubState]
    STUCK: _ClassVar[SubState]
    FAILED_AND_HELD: _ClassVar[SubState]
    RETRYING: _ClassVar[SubState]
    NO_WORKER: _ClassVar[SubState]
    WAITING: _ClassVar[SubState]
    SLEEPING: _ClassVar[SubState]
    SETTLING: _ClassVar[SubState]
    UNWINDING: _ClassVar[SubState]
STATUS_UNSPECIFIED: Status
RUNNING: Status
COMPENSATING: Status
COMPENSATION_STUCK: Status
COMPLETED: Status
COMPENSATED: Status
FAILED: Status
CANCELLED: Status
TERMINATED: Status
HELD: Status
CONTINUED: Status
SUB_STATE_UNSPECIFIED: SubState
BLOCKED: SubState
PAUSED: SubState
STUCK: SubState
FAILED_AND_HELD: SubState
RETRYING: SubState
NO_WORKER: SubState
WAITING: SubState
SLEEPING: SubState
SETTLING: SubState
UNWINDING: SubState

class Doing(_message.Message):
    __slots__ = ("sub_state", "name", "failure_type", "attempt", "next_ms", "since_ms")
    SUB_STATE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_TYPE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NEXT_MS_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    sub_state: SubState
    name: str
    failure_type: str
    attempt: int
    next_ms: int
    since_ms: int
    def __init__(self, sub_state: _Optional[_Union[SubState, str]] = ..., name: _Optional[str] = ..., failure_type: _Optional[str] = ..., attempt: _Optional[int] = ..., next_ms: _Optional[int] = ..., since_ms: _Optional[int] = ...) -> None: ...

class RunKey(_message.Message):
    __slots__ = ("namespace", "saga", "run")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SAGA_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    saga: str
    run: int
    def __init__(self, namespace: _Optional[str] = ..., saga: _Optional[str] = ..., run: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("seq", "time_ms", "large_bytes", "saga_started", "step_scheduled", "step_completed", "step_attempt_failed", "step_failed", "step_cancelled", "timer_fired", "signal_received", "cancel_requested", "saga_timed_out", "compensation_registered", "unwind_started", "compensation_scheduled", "compensation_completed", "compensation_attempt_failed", "compensation_stuck", "compensation_decided", "compensation_skipped", "saga_ended", "saga_terminated", "step_skipped", "state_changed", "scope_opened", "pivot_passed", "saga_held", "recover_requested", "compensate_requested", "key_declared", "attributes_set", "settling_started", "signal_rejected", "pause_requested", "resume_requested", "stopped_before_start", "retry_requested", "sealed", "version", "build")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    LARGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SAGA_STARTED_FIELD_NUMBER: _ClassVar[int]
    STEP_SCHEDULED_FIELD_NUMBER: _ClassVar[int]
    STEP_COMPLETED_FIELD_NUMBER: _ClassVar[int]
    STEP_ATTEMPT_FAILED_FIELD_NUMBER: _ClassVar[int]
    STEP_FAILED_FIELD_NUMBER: _ClassVar[int]
    STEP_CANCELLED_FIELD_NUMBER: _ClassVar[int]
    TIMER_FIRED_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    SAGA_TIMED_OUT_FIELD_NUMBER: _ClassVar[int]
    COMPENSATION_REGISTERED_FIELD_NUMBER: _ClassVar[int]
    UNWIND_STARTED_FIELD_NUMBER: _ClassVar[int]
    COMPENSATION_SCHEDULED_FIELD_NUMBER: _ClassVar[int]
    COMPENSATION_COMPLETED_FIELD_NUMBER: _ClassVar[int]
    COMPENSATION_ATTEMPT_FAILED_FIELD_NUMBER: _ClassVar[int]
    COMPENSATION_STUCK_FIELD_NUMBER: _ClassVar[int]
    COMPENSATION_DECIDED_FIELD_NUMBER: _ClassVar[int]
    COMPENSATION_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    SAGA_ENDED_FIELD_NUMBER: _ClassVar[int]
    SAGA_TERMINATED_FIELD_NUMBER: _ClassVar[int]
    STEP_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    STATE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    SCOPE_OPENED_FIELD_NUMBER: _ClassVar[int]
    PIVOT_PASSED_FIELD_NUMBER: _ClassVar[int]
    SAGA_HELD_FIELD_NUMBER: _ClassVar[int]
    RECOVER_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    COMPENSATE_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    KEY_DECLARED_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_SET_FIELD_NUMBER: _ClassVar[int]
    SETTLING_STARTED_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_REJECTED_FIELD_NUMBER: _ClassVar[int]
    PAUSE_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    RESUME_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    STOPPED_BEFORE_START_FIELD_NUMBER: _ClassVar[int]
    RETRY_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    seq: int
    time_ms: int
    large_bytes: int
    saga_started: SagaStarted
    step_scheduled: StepScheduled
    step_completed: StepCompleted
    step_attempt_failed: StepAttemptFailed
    step_failed: StepFailed
    step_cancelled: StepCancelled
    timer_fired: TimerFired
    signal_received: SignalReceived
    cancel_requested: CancelRequested
    saga_timed_out: SagaTimedOut
    compensation_registered: CompensationRegistered
    unwind_started: UnwindStarted
    compensation_scheduled: CompensationScheduled
    compensation_completed: CompensationCompleted
    compensation_attempt_failed: CompensationAttemptFailed
    compensation_stuck: CompensationStuck
    compensation_decided: CompensationDecided
    compensation_skipped: CompensationSkipped
    saga_ended: SagaEnded
    saga_terminated: SagaTerminated
    step_skipped: StepSkipped
    state_changed: StateChanged
    scope_opened: ScopeOpened
    pivot_passed: PivotPassed
    saga_held: SagaHeld
    recover_requested: RecoverRequested
    compensate_requested: CompensateRequested
    key_declared: KeyDeclared
    attributes_set: AttributesSet
    settling_started: SettlingStarted
    signal_rejected: SignalRejected
    pause_requested: PauseRequested
    resume_requested: ResumeRequested
    stopped_before_start: StoppedBeforeStart
    retry_requested: RetryRequested
    sealed: bool
    version: int
    build: str
    def __init__(self, seq: _Optional[int] = ..., time_ms: _Optional[int] = ..., large_bytes: _Optional[int] = ..., saga_started: _Optional[_Union[SagaStarted, _Mapping]] = ..., step_scheduled: _Optional[_Union[StepScheduled, _Mapping]] = ..., step_completed: _Optional[_Union[StepCompleted, _Mapping]] = ..., step_attempt_failed: _Optional[_Union[StepAttemptFailed, _Mapping]] = ..., step_failed: _Optional[_Union[StepFailed, _Mapping]] = ..., step_cancelled: _Optional[_Union[StepCancelled, _Mapping]] = ..., timer_fired: _Optional[_Union[TimerFired, _Mapping]] = ..., signal_received: _Optional[_Union[SignalReceived, _Mapping]] = ..., cancel_requested: _Optional[_Union[CancelRequested, _Mapping]] = ..., saga_timed_out: _Optional[_Union[SagaTimedOut, _Mapping]] = ..., compensation_registered: _Optional[_Union[CompensationRegistered, _Mapping]] = ..., unwind_started: _Optional[_Union[UnwindStarted, _Mapping]] = ..., compensation_scheduled: _Optional[_Union[CompensationScheduled, _Mapping]] = ..., compensation_completed: _Optional[_Union[CompensationCompleted, _Mapping]] = ..., compensation_attempt_failed: _Optional[_Union[CompensationAttemptFailed, _Mapping]] = ..., compensation_stuck: _Optional[_Union[CompensationStuck, _Mapping]] = ..., compensation_decided: _Optional[_Union[CompensationDecided, _Mapping]] = ..., compensation_skipped: _Optional[_Union[CompensationSkipped, _Mapping]] = ..., saga_ended: _Optional[_Union[SagaEnded, _Mapping]] = ..., saga_terminated: _Optional[_Union[SagaTerminated, _Mapping]] = ..., step_skipped: _Optional[_Union[StepSkipped, _Mapping]] = ..., state_changed: _Optional[_Union[StateChanged, _Mapping]] = ..., scope_opened: _Optional[_Union[ScopeOpened, _Mapping]] = ..., pivot_passed: _Optional[_Union[PivotPassed, _Mapping]] = ..., saga_held: _Optional[_Union[SagaHeld, _Mapping]] = ..., recover_requested: _Optional[_Union[RecoverRequested, _Mapping]] = ..., compensate_requested: _Optional[_Union[CompensateRequested, _Mapping]] = ..., key_declared: _Optional[_Union[KeyDeclared, _Mapping]] = ..., attributes_set: _Optional[_Union[AttributesSet, _Mapping]] = ..., settling_started: _Optional[_Union[SettlingStarted, _Mapping]] = ..., signal_rejected: _Optional[_Union[SignalRejected, _Mapping]] = ..., pause_requested: _Optional[_Union[PauseRequested, _Mapping]] = ..., resume_requested: _Optional[_Union[ResumeRequested, _Mapping]] = ..., stopped_before_start: _Optional[_Union[StoppedBeforeStart, _Mapping]] = ..., retry_requested: _Optional[_Union[RetryRequested, _Mapping]] = ..., sealed: bool = ..., version: _Optional[int] = ..., build: _Optional[str] = ...) -> None: ...

class SagaStarted(_message.Message):
    __slots__ = ("saga_type", "input", "timeout_ms", "seed", "keys", "previous_run", "default_timeout_ms", "attributes", "rules", "pause", "asked_ms", "memo", "first_run", "restart", "carried", "carried_values")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class CarriedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SAGA_TYPE_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_RUN_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    ASKED_MS_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    FIRST_RUN_FIELD_NUMBER: _ClassVar[int]
    RESTART_FIELD_NUMBER: _ClassVar[int]
    CARRIED_FIELD_NUMBER: _ClassVar[int]
    CARRIED_VALUES_FIELD_NUMBER: _ClassVar[int]
    saga_type: str
    input: _payload_pb2.Payload
    timeout_ms: int
    seed: bytes
    keys: _containers.RepeatedScalarFieldContainer[str]
    previous_run: int
    default_timeout_ms: int
    attributes: _containers.ScalarMap[str, str]
    rules: int
    pause: PauseRequested
    asked_ms: int
    memo: _payload_pb2.Payload
    first_run: int
    restart: RestartRequested
    carried: _containers.ScalarMap[str, str]
    carried_values: _payload_pb2.Payload
    def __init__(self, saga_type: _Optional[str] = ..., input: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., timeout_ms: _Optional[int] = ..., seed: _Optional[bytes] = ..., keys: _Optional[_Iterable[str]] = ..., previous_run: _Optional[int] = ..., default_timeout_ms: _Optional[int] = ..., attributes: _Optional[_Mapping[str, str]] = ..., rules: _Optional[int] = ..., pause: _Optional[_Union[PauseRequested, _Mapping]] = ..., asked_ms: _Optional[int] = ..., memo: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., first_run: _Optional[int] = ..., restart: _Optional[_Union[RestartRequested, _Mapping]] = ..., carried: _Optional[_Mapping[str, str]] = ..., carried_values: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class StepScheduled(_message.Message):
    __slots__ = ("call", "name", "input", "compensation", "no_effect", "at_most_once", "defaults", "no_timeout", "scope")
    CALL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    COMPENSATION_FIELD_NUMBER: _ClassVar[int]
    NO_EFFECT_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_ONCE_FIELD_NUMBER: _ClassVar[int]
    DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    NO_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    call: str
    name: str
    input: _payload_pb2.Payload
    compensation: str
    no_effect: bool
    at_most_once: bool
    defaults: _payload_pb2.Payload
    no_timeout: bool
    scope: str
    def __init__(self, call: _Optional[str] = ..., name: _Optional[str] = ..., input: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., compensation: _Optional[str] = ..., no_effect: bool = ..., at_most_once: bool = ..., defaults: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., no_timeout: bool = ..., scope: _Optional[str] = ...) -> None: ...

class StepCompleted(_message.Message):
    __slots__ = ("call", "result", "attempt")
    CALL_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    call: str
    result: _payload_pb2.Payload
    attempt: int
    def __init__(self, call: _Optional[str] = ..., result: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., attempt: _Optional[int] = ...) -> None: ...

class StepAttemptFailed(_message.Message):
    __slots__ = ("call", "attempt", "failure", "retry_at_ms", "interrupted")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AT_MS_FIELD_NUMBER: _ClassVar[int]
    INTERRUPTED_FIELD_NUMBER: _ClassVar[int]
    call: str
    attempt: int
    failure: _payload_pb2.Failure
    retry_at_ms: int
    interrupted: bool
    def __init__(self, call: _Optional[str] = ..., attempt: _Optional[int] = ..., failure: _Optional[_Union[_payload_pb2.Failure, _Mapping]] = ..., retry_at_ms: _Optional[int] = ..., interrupted: bool = ...) -> None: ...

class StepFailed(_message.Message):
    __slots__ = ("call", "attempt", "failure", "result")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    call: str
    attempt: int
    failure: _payload_pb2.Failure
    result: _payload_pb2.Payload
    def __init__(self, call: _Optional[str] = ..., attempt: _Optional[int] = ..., failure: _Optional[_Union[_payload_pb2.Failure, _Mapping]] = ..., result: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class StepCancelled(_message.Message):
    __slots__ = ("call", "never_started")
    CALL_FIELD_NUMBER: _ClassVar[int]
    NEVER_STARTED_FIELD_NUMBER: _ClassVar[int]
    call: str
    never_started: bool
    def __init__(self, call: _Optional[str] = ..., never_started: bool = ...) -> None: ...

class TimerFired(_message.Message):
    __slots__ = ("due_ms",)
    DUE_MS_FIELD_NUMBER: _ClassVar[int]
    due_ms: int
    def __init__(self, due_ms: _Optional[int] = ...) -> None: ...

class SignalReceived(_message.Message):
    __slots__ = ("message_id", "name", "input", "carried", "carried_values")
    class CarriedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CARRIED_FIELD_NUMBER: _ClassVar[int]
    CARRIED_VALUES_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    name: str
    input: _payload_pb2.Payload
    carried: _containers.ScalarMap[str, str]
    carried_values: _payload_pb2.Payload
    def __init__(self, message_id: _Optional[str] = ..., name: _Optional[str] = ..., input: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., carried: _Optional[_Mapping[str, str]] = ..., carried_values: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class CancelRequested(_message.Message):
    __slots__ = ("message_id", "reason", "who")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    reason: str
    who: str
    def __init__(self, message_id: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class SagaTimedOut(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CompensationRegistered(_message.Message):
    __slots__ = ("call", "name", "input", "defaults", "scope")
    CALL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    call: str
    name: str
    input: _payload_pb2.Payload
    defaults: _payload_pb2.Payload
    scope: str
    def __init__(self, call: _Optional[str] = ..., name: _Optional[str] = ..., input: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., defaults: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., scope: _Optional[str] = ...) -> None: ...

class UnwindStarted(_message.Message):
    __slots__ = ("failure", "cancelled", "call", "pending", "notes", "order", "from_journal", "why")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    FROM_JOURNAL_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    failure: _payload_pb2.Failure
    cancelled: bool
    call: str
    pending: _containers.RepeatedScalarFieldContainer[str]
    notes: _containers.RepeatedScalarFieldContainer[str]
    order: _containers.RepeatedScalarFieldContainer[str]
    from_journal: bool
    why: str
    def __init__(self, failure: _Optional[_Union[_payload_pb2.Failure, _Mapping]] = ..., cancelled: bool = ..., call: _Optional[str] = ..., pending: _Optional[_Iterable[str]] = ..., notes: _Optional[_Iterable[str]] = ..., order: _Optional[_Iterable[str]] = ..., from_journal: bool = ..., why: _Optional[str] = ...) -> None: ...

class CompensationScheduled(_message.Message):
    __slots__ = ("call", "name")
    CALL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    call: str
    name: str
    def __init__(self, call: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class CompensationCompleted(_message.Message):
    __slots__ = ("call", "attempt")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    call: str
    attempt: int
    def __init__(self, call: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...

class CompensationAttemptFailed(_message.Message):
    __slots__ = ("call", "attempt", "failure", "retry_at_ms", "interrupted")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AT_MS_FIELD_NUMBER: _ClassVar[int]
    INTERRUPTED_FIELD_NUMBER: _ClassVar[int]
    call: str
    attempt: int
    failure: _payload_pb2.Failure
    retry_at_ms: int
    interrupted: bool
    def __init__(self, call: _Optional[str] = ..., attempt: _Optional[int] = ..., failure: _Optional[_Union[_payload_pb2.Failure, _Mapping]] = ..., retry_at_ms: _Optional[int] = ..., interrupted: bool = ...) -> None: ...

class CompensationStuck(_message.Message):
    __slots__ = ("call", "attempt", "failure")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    call: str
    attempt: int
    failure: _payload_pb2.Failure
    def __init__(self, call: _Optional[str] = ..., attempt: _Optional[int] = ..., failure: _Optional[_Union[_payload_pb2.Failure, _Mapping]] = ...) -> None: ...

class CompensationDecided(_message.Message):
    __slots__ = ("message_id", "call", "verb", "note", "who")
    class Verb(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VERB_UNSPECIFIED: _ClassVar[CompensationDecided.Verb]
        RETRY: _ClassVar[CompensationDecided.Verb]
        SKIP: _ClassVar[CompensationDecided.Verb]
        RESOLVE: _ClassVar[CompensationDecided.Verb]
    VERB_UNSPECIFIED: CompensationDecided.Verb
    RETRY: CompensationDecided.Verb
    SKIP: CompensationDecided.Verb
    RESOLVE: CompensationDecided.Verb
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    VERB_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    call: str
    verb: CompensationDecided.Verb
    note: str
    who: str
    def __init__(self, message_id: _Optional[str] = ..., call: _Optional[str] = ..., verb: _Optional[_Union[CompensationDecided.Verb, str]] = ..., note: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class CompensationSkipped(_message.Message):
    __slots__ = ("call", "reason")
    CALL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    call: str
    reason: str
    def __init__(self, call: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SagaEnded(_message.Message):
    __slots__ = ("status", "result", "failure", "unread", "next")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    UNREAD_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    status: Status
    result: _payload_pb2.Payload
    failure: _payload_pb2.Failure
    unread: _containers.RepeatedScalarFieldContainer[str]
    next: Continuation
    def __init__(self, status: _Optional[_Union[Status, str]] = ..., result: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., failure: _Optional[_Union[_payload_pb2.Failure, _Mapping]] = ..., unread: _Optional[_Iterable[str]] = ..., next: _Optional[_Union[Continuation, _Mapping]] = ...) -> None: ...

class Continuation(_message.Message):
    __slots__ = ("input", "keys", "carried", "attributes", "pause")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    INPUT_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    CARRIED_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    input: _payload_pb2.Payload
    keys: _containers.RepeatedScalarFieldContainer[str]
    carried: _containers.RepeatedScalarFieldContainer[str]
    attributes: _containers.ScalarMap[str, str]
    pause: PauseRequested
    def __init__(self, input: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., keys: _Optional[_Iterable[str]] = ..., carried: _Optional[_Iterable[str]] = ..., attributes: _Optional[_Mapping[str, str]] = ..., pause: _Optional[_Union[PauseRequested, _Mapping]] = ...) -> None: ...

class StoppedBeforeStart(_message.Message):
    __slots__ = ("message_id", "reason", "who", "status")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    reason: str
    who: str
    status: Status
    def __init__(self, message_id: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ..., status: _Optional[_Union[Status, str]] = ...) -> None: ...

class SagaTerminated(_message.Message):
    __slots__ = ("reason", "who")
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    reason: str
    who: str
    def __init__(self, reason: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class StepSkipped(_message.Message):
    __slots__ = ("call", "name", "reason")
    CALL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    call: str
    name: str
    reason: str
    def __init__(self, call: _Optional[str] = ..., name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class StateChanged(_message.Message):
    __slots__ = ("call", "changes")
    class ChangesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _payload_pb2.Payload
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...
    CALL_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    call: str
    changes: _containers.MessageMap[str, _payload_pb2.Payload]
    def __init__(self, call: _Optional[str] = ..., changes: _Optional[_Mapping[str, _payload_pb2.Payload]] = ...) -> None: ...

class ScopeOpened(_message.Message):
    __slots__ = ("call", "name", "saga_type", "version", "scope", "tells_scopes", "parallel", "ordered", "label", "input")
    CALL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SAGA_TYPE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    TELLS_SCOPES_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_FIELD_NUMBER: _ClassVar[int]
    ORDERED_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    call: str
    name: str
    saga_type: str
    version: int
    scope: str
    tells_scopes: bool
    parallel: bool
    ordered: bool
    label: str
    input: _payload_pb2.Payload
    def __init__(self, call: _Optional[str] = ..., name: _Optional[str] = ..., saga_type: _Optional[str] = ..., version: _Optional[int] = ..., scope: _Optional[str] = ..., tells_scopes: bool = ..., parallel: bool = ..., ordered: bool = ..., label: _Optional[str] = ..., input: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class PivotPassed(_message.Message):
    __slots__ = ("call",)
    CALL_FIELD_NUMBER: _ClassVar[int]
    call: str
    def __init__(self, call: _Optional[str] = ...) -> None: ...

class SagaHeld(_message.Message):
    __slots__ = ("failure", "from_seq", "past_pivot")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    FROM_SEQ_FIELD_NUMBER: _ClassVar[int]
    PAST_PIVOT_FIELD_NUMBER: _ClassVar[int]
    failure: _payload_pb2.Failure
    from_seq: int
    past_pivot: bool
    def __init__(self, failure: _Optional[_Union[_payload_pb2.Failure, _Mapping]] = ..., from_seq: _Optional[int] = ..., past_pivot: bool = ...) -> None: ...

class RecoverRequested(_message.Message):
    __slots__ = ("message_id", "reason", "who", "from_seq")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    FROM_SEQ_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    reason: str
    who: str
    from_seq: int
    def __init__(self, message_id: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ..., from_seq: _Optional[int] = ...) -> None: ...

class CompensateRequested(_message.Message):
    __slots__ = ("message_id", "reason", "who")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    reason: str
    who: str
    def __init__(self, message_id: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class PauseRequested(_message.Message):
    __slots__ = ("message_id", "reason", "who", "stop_clocks")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    STOP_CLOCKS_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    reason: str
    who: str
    stop_clocks: bool
    def __init__(self, message_id: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ..., stop_clocks: bool = ...) -> None: ...

class ResumeRequested(_message.Message):
    __slots__ = ("message_id", "reason", "who")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    reason: str
    who: str
    def __init__(self, message_id: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class RetryRequested(_message.Message):
    __slots__ = ("message_id", "reason", "who")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    reason: str
    who: str
    def __init__(self, message_id: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class RestartRequested(_message.Message):
    __slots__ = ("message_id", "reason", "who")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    reason: str
    who: str
    def __init__(self, message_id: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class KeyDeclared(_message.Message):
    __slots__ = ("call", "key")
    CALL_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    call: str
    key: str
    def __init__(self, call: _Optional[str] = ..., key: _Optional[str] = ...) -> None: ...

class SettlingStarted(_message.Message):
    __slots__ = ("result", "pending", "notes", "order")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    result: _payload_pb2.Payload
    pending: _containers.RepeatedScalarFieldContainer[str]
    notes: _containers.RepeatedScalarFieldContainer[str]
    order: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, result: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., pending: _Optional[_Iterable[str]] = ..., notes: _Optional[_Iterable[str]] = ..., order: _Optional[_Iterable[str]] = ...) -> None: ...

class SignalRejected(_message.Message):
    __slots__ = ("call", "message_id", "name", "failure")
    CALL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    call: str
    message_id: str
    name: str
    failure: _payload_pb2.Failure
    def __init__(self, call: _Optional[str] = ..., message_id: _Optional[str] = ..., name: _Optional[str] = ..., failure: _Optional[_Union[_payload_pb2.Failure, _Mapping]] = ...) -> None: ...

class AttributesSet(_message.Message):
    __slots__ = ("call", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    call: str
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, call: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class InboxMessage(_message.Message):
    __slots__ = ("message_id", "received_ms", "place", "signal", "cancel", "decision", "recover", "compensate", "retry", "pause", "resume")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_MS_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    RECOVER_FIELD_NUMBER: _ClassVar[int]
    COMPENSATE_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    received_ms: int
    place: int
    signal: SignalReceived
    cancel: CancelRequested
    decision: CompensationDecided
    recover: RecoverRequested
    compensate: CompensateRequested
    retry: RetryRequested
    pause: PauseRequested
    resume: ResumeRequested
    def __init__(self, message_id: _Optional[str] = ..., received_ms: _Optional[int] = ..., place: _Optional[int] = ..., signal: _Optional[_Union[SignalReceived, _Mapping]] = ..., cancel: _Optional[_Union[CancelRequested, _Mapping]] = ..., decision: _Optional[_Union[CompensationDecided, _Mapping]] = ..., recover: _Optional[_Union[RecoverRequested, _Mapping]] = ..., compensate: _Optional[_Union[CompensateRequested, _Mapping]] = ..., retry: _Optional[_Union[RetryRequested, _Mapping]] = ..., pause: _Optional[_Union[PauseRequested, _Mapping]] = ..., resume: _Optional[_Union[ResumeRequested, _Mapping]] = ...) -> None: ...
