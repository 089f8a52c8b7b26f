from durable_saga.pb import payload_pb2 as _payload_pb2
from durable_saga.pb import history_pb2 as _history_pb2
from durable_saga.pb import cell_pb2 as _cell_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IfExists(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SAME: _ClassVar[IfExists]
    FAIL: _ClassVar[IfExists]
    AGAIN_AFTER_FAILURE: _ClassVar[IfExists]
    AGAIN: _ClassVar[IfExists]
SAME: IfExists
FAIL: IfExists
AGAIN_AFTER_FAILURE: IfExists
AGAIN: IfExists

class CallFrame(_message.Message):
    __slots__ = ("calls",)
    CALLS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[Call]
    def __init__(self, calls: _Optional[_Iterable[_Union[Call, _Mapping]]] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("number", "method", "request", "cancel")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    number: int
    method: str
    request: bytes
    cancel: bool
    def __init__(self, number: _Optional[int] = ..., method: _Optional[str] = ..., request: _Optional[bytes] = ..., cancel: bool = ...) -> None: ...

class ReplyFrame(_message.Message):
    __slots__ = ("replies",)
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    replies: _containers.RepeatedCompositeFieldContainer[Reply]
    def __init__(self, replies: _Optional[_Iterable[_Union[Reply, _Mapping]]] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("number", "reply", "code", "message", "retry_after_ms")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    number: int
    reply: bytes
    code: str
    message: str
    retry_after_ms: int
    def __init__(self, number: _Optional[int] = ..., reply: _Optional[bytes] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...

class StartRequest(_message.Message):
    __slots__ = ("namespace", "saga", "saga_type", "input", "timeout_ms", "keys", "default_timeout_ms", "attributes", "start_id", "start_at_ms", "after_ms", "if_exists", "window_ms", "memo", "carried", "carried_values")
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
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SAGA_FIELD_NUMBER: _ClassVar[int]
    SAGA_TYPE_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    START_ID_FIELD_NUMBER: _ClassVar[int]
    START_AT_MS_FIELD_NUMBER: _ClassVar[int]
    AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    IF_EXISTS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_MS_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    CARRIED_FIELD_NUMBER: _ClassVar[int]
    CARRIED_VALUES_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    saga: str
    saga_type: str
    input: _payload_pb2.Payload
    timeout_ms: int
    keys: _containers.RepeatedScalarFieldContainer[str]
    default_timeout_ms: int
    attributes: _containers.ScalarMap[str, str]
    start_id: bytes
    start_at_ms: int
    after_ms: int
    if_exists: IfExists
    window_ms: int
    memo: _payload_pb2.Payload
    carried: _containers.ScalarMap[str, str]
    carried_values: _payload_pb2.Payload
    def __init__(self, namespace: _Optional[str] = ..., saga: _Optional[str] = ..., saga_type: _Optional[str] = ..., input: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., timeout_ms: _Optional[int] = ..., keys: _Optional[_Iterable[str]] = ..., default_timeout_ms: _Optional[int] = ..., attributes: _Optional[_Mapping[str, str]] = ..., start_id: _Optional[bytes] = ..., start_at_ms: _Optional[int] = ..., after_ms: _Optional[int] = ..., if_exists: _Optional[_Union[IfExists, str]] = ..., window_ms: _Optional[int] = ..., memo: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., carried: _Optional[_Mapping[str, str]] = ..., carried_values: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class StartReply(_message.Message):
    __slots__ = ("key", "already_started", "saga_type", "status", "input", "waits_for", "starts_ms")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ALREADY_STARTED_FIELD_NUMBER: _ClassVar[int]
    SAGA_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    STARTS_MS_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    already_started: bool
    saga_type: str
    status: _history_pb2.Status
    input: _payload_pb2.Payload
    waits_for: str
    starts_ms: int
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., already_started: bool = ..., saga_type: _Optional[str] = ..., status: _Optional[_Union[_history_pb2.Status, str]] = ..., input: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., waits_for: _Optional[str] = ..., starts_ms: _Optional[int] = ...) -> None: ...

class SignalRequest(_message.Message):
    __slots__ = ("key", "message_id", "name", "input", "carried", "carried_values")
    class CarriedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CARRIED_FIELD_NUMBER: _ClassVar[int]
    CARRIED_VALUES_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    message_id: str
    name: str
    input: _payload_pb2.Payload
    carried: _containers.ScalarMap[str, str]
    carried_values: _payload_pb2.Payload
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., message_id: _Optional[str] = ..., name: _Optional[str] = ..., input: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., carried: _Optional[_Mapping[str, str]] = ..., carried_values: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("key", "message_id", "reason", "who")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    message_id: str
    reason: str
    who: str
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., message_id: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class TerminateRequest(_message.Message):
    __slots__ = ("key", "reason", "who")
    KEY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    reason: str
    who: str
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class TerminateReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DecideRequest(_message.Message):
    __slots__ = ("key", "decision")
    KEY_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    decision: _history_pb2.CompensationDecided
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., decision: _Optional[_Union[_history_pb2.CompensationDecided, _Mapping]] = ...) -> None: ...

class RecoverRequest(_message.Message):
    __slots__ = ("key", "message_id", "reason", "who")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    message_id: str
    reason: str
    who: str
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., message_id: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class CompensateRequest(_message.Message):
    __slots__ = ("key", "message_id", "reason", "who")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    message_id: str
    reason: str
    who: str
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., message_id: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class PauseRequest(_message.Message):
    __slots__ = ("key", "message_id", "reason", "who", "stop_clocks")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    STOP_CLOCKS_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    message_id: str
    reason: str
    who: str
    stop_clocks: bool
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., message_id: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ..., stop_clocks: bool = ...) -> None: ...

class ResumeRequest(_message.Message):
    __slots__ = ("key", "message_id", "reason", "who")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    message_id: str
    reason: str
    who: str
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., message_id: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class RetryNowRequest(_message.Message):
    __slots__ = ("key", "message_id", "reason", "who")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    message_id: str
    reason: str
    who: str
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., message_id: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class RestartRequest(_message.Message):
    __slots__ = ("key", "message_id", "reason", "who")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    message_id: str
    reason: str
    who: str
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., message_id: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class RestartReply(_message.Message):
    __slots__ = ("key", "waits_for")
    KEY_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    waits_for: str
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., waits_for: _Optional[str] = ...) -> None: ...

class PauseTypeRequest(_message.Message):
    __slots__ = ("namespace", "saga_type", "reason", "who")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SAGA_TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    saga_type: str
    reason: str
    who: str
    def __init__(self, namespace: _Optional[str] = ..., saga_type: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class ResumeTypeRequest(_message.Message):
    __slots__ = ("namespace", "saga_type", "reason", "who")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SAGA_TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    saga_type: str
    reason: str
    who: str
    def __init__(self, namespace: _Optional[str] = ..., saga_type: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class PauseTypeReply(_message.Message):
    __slots__ = ("changed",)
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    changed: bool
    def __init__(self, changed: bool = ...) -> None: ...

class RollOut(_message.Message):
    __slots__ = ("build", "share_millionths", "rest", "saga_type", "who", "reason", "since_ms")
    BUILD_FIELD_NUMBER: _ClassVar[int]
    SHARE_MILLIONTHS_FIELD_NUMBER: _ClassVar[int]
    REST_FIELD_NUMBER: _ClassVar[int]
    SAGA_TYPE_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    build: str
    share_millionths: int
    rest: str
    saga_type: str
    who: str
    reason: str
    since_ms: int
    def __init__(self, build: _Optional[str] = ..., share_millionths: _Optional[int] = ..., rest: _Optional[str] = ..., saga_type: _Optional[str] = ..., who: _Optional[str] = ..., reason: _Optional[str] = ..., since_ms: _Optional[int] = ...) -> None: ...

class RollOutRequest(_message.Message):
    __slots__ = ("namespace", "build", "share_millionths", "saga_type", "reason", "who")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    SHARE_MILLIONTHS_FIELD_NUMBER: _ClassVar[int]
    SAGA_TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    build: str
    share_millionths: int
    saga_type: str
    reason: str
    who: str
    def __init__(self, namespace: _Optional[str] = ..., build: _Optional[str] = ..., share_millionths: _Optional[int] = ..., saga_type: _Optional[str] = ..., reason: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class RollOutReply(_message.Message):
    __slots__ = ("changed", "roll_out", "warning")
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    ROLL_OUT_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    changed: bool
    roll_out: RollOut
    warning: str
    def __init__(self, changed: bool = ..., roll_out: _Optional[_Union[RollOut, _Mapping]] = ..., warning: _Optional[str] = ...) -> None: ...

class BuildsRequest(_message.Message):
    __slots__ = ("namespace",)
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    def __init__(self, namespace: _Optional[str] = ...) -> None: ...

class BuildsReply(_message.Message):
    __slots__ = ("builds", "roll_outs")
    BUILDS_FIELD_NUMBER: _ClassVar[int]
    ROLL_OUTS_FIELD_NUMBER: _ClassVar[int]
    builds: _containers.RepeatedCompositeFieldContainer[BuildView]
    roll_outs: _containers.RepeatedCompositeFieldContainer[RollOut]
    def __init__(self, builds: _Optional[_Iterable[_Union[BuildView, _Mapping]]] = ..., roll_outs: _Optional[_Iterable[_Union[RollOut, _Mapping]]] = ...) -> None: ...

class BuildView(_message.Message):
    __slots__ = ("build", "saga_types", "workers", "open", "blocked", "warning")
    BUILD_FIELD_NUMBER: _ClassVar[int]
    SAGA_TYPES_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    build: str
    saga_types: _containers.RepeatedScalarFieldContainer[str]
    workers: int
    open: int
    blocked: int
    warning: str
    def __init__(self, build: _Optional[str] = ..., saga_types: _Optional[_Iterable[str]] = ..., workers: _Optional[int] = ..., open: _Optional[int] = ..., blocked: _Optional[int] = ..., warning: _Optional[str] = ...) -> None: ...

class PublishRequest(_message.Message):
    __slots__ = ("namespace", "event", "saga", "correlation_key", "message_id", "input", "carried", "carried_values")
    class CarriedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    SAGA_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CARRIED_FIELD_NUMBER: _ClassVar[int]
    CARRIED_VALUES_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    event: str
    saga: str
    correlation_key: str
    message_id: str
    input: _payload_pb2.Payload
    carried: _containers.ScalarMap[str, str]
    carried_values: _payload_pb2.Payload
    def __init__(self, namespace: _Optional[str] = ..., event: _Optional[str] = ..., saga: _Optional[str] = ..., correlation_key: _Optional[str] = ..., message_id: _Optional[str] = ..., input: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., carried: _Optional[_Mapping[str, str]] = ..., carried_values: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class PublishReply(_message.Message):
    __slots__ = ("delivered",)
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    delivered: int
    def __init__(self, delivered: _Optional[int] = ...) -> None: ...

class StatisticsRequest(_message.Message):
    __slots__ = ("namespace", "standings_alone")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    STANDINGS_ALONE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    standings_alone: bool
    def __init__(self, namespace: _Optional[str] = ..., standings_alone: bool = ...) -> None: ...

class StatisticsReply(_message.Message):
    __slots__ = ("tallies", "paused_types", "standings", "at_least")
    TALLIES_FIELD_NUMBER: _ClassVar[int]
    PAUSED_TYPES_FIELD_NUMBER: _ClassVar[int]
    STANDINGS_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    tallies: _containers.RepeatedCompositeFieldContainer[Tally]
    paused_types: _containers.RepeatedCompositeFieldContainer[Pause]
    standings: _containers.RepeatedCompositeFieldContainer[Standing]
    at_least: bool
    def __init__(self, tallies: _Optional[_Iterable[_Union[Tally, _Mapping]]] = ..., paused_types: _Optional[_Iterable[_Union[Pause, _Mapping]]] = ..., standings: _Optional[_Iterable[_Union[Standing, _Mapping]]] = ..., at_least: bool = ...) -> None: ...

class WorkersRequest(_message.Message):
    __slots__ = ("namespace",)
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    def __init__(self, namespace: _Optional[str] = ...) -> None: ...

class WorkersReply(_message.Message):
    __slots__ = ("workers", "types", "server", "servers")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[WorkerView]
    types: _containers.RepeatedCompositeFieldContainer[TypeView]
    server: str
    servers: int
    def __init__(self, workers: _Optional[_Iterable[_Union[WorkerView, _Mapping]]] = ..., types: _Optional[_Iterable[_Union[TypeView, _Mapping]]] = ..., server: _Optional[str] = ..., servers: _Optional[int] = ...) -> None: ...

class WorkerView(_message.Message):
    __slots__ = ("name", "build", "saga_types", "sagas", "slots", "slots_used", "slots_waiting", "connected_ms", "seen_ms", "blocked_at", "blocked_since_ms", "draining", "elsewhere", "capacity")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    SAGA_TYPES_FIELD_NUMBER: _ClassVar[int]
    SAGAS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_USED_FIELD_NUMBER: _ClassVar[int]
    SLOTS_WAITING_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_MS_FIELD_NUMBER: _ClassVar[int]
    SEEN_MS_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_AT_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    ELSEWHERE_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    name: str
    build: str
    saga_types: _containers.RepeatedScalarFieldContainer[str]
    sagas: int
    slots: int
    slots_used: int
    slots_waiting: int
    connected_ms: int
    seen_ms: int
    blocked_at: str
    blocked_since_ms: int
    draining: bool
    elsewhere: bool
    capacity: int
    def __init__(self, name: _Optional[str] = ..., build: _Optional[str] = ..., saga_types: _Optional[_Iterable[str]] = ..., sagas: _Optional[int] = ..., slots: _Optional[int] = ..., slots_used: _Optional[int] = ..., slots_waiting: _Optional[int] = ..., connected_ms: _Optional[int] = ..., seen_ms: _Optional[int] = ..., blocked_at: _Optional[str] = ..., blocked_since_ms: _Optional[int] = ..., draining: bool = ..., elsewhere: bool = ..., capacity: _Optional[int] = ...) -> None: ...

class TypeView(_message.Message):
    __slots__ = ("saga_type", "workers", "open", "queued", "paused")
    SAGA_TYPE_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    saga_type: str
    workers: int
    open: int
    queued: int
    paused: str
    def __init__(self, saga_type: _Optional[str] = ..., workers: _Optional[int] = ..., open: _Optional[int] = ..., queued: _Optional[int] = ..., paused: _Optional[str] = ...) -> None: ...

class Standing(_message.Message):
    __slots__ = ("saga_type", "sub_state", "name", "failure_type", "count")
    SAGA_TYPE_FIELD_NUMBER: _ClassVar[int]
    SUB_STATE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_TYPE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    saga_type: str
    sub_state: _history_pb2.SubState
    name: str
    failure_type: str
    count: int
    def __init__(self, saga_type: _Optional[str] = ..., sub_state: _Optional[_Union[_history_pb2.SubState, str]] = ..., name: _Optional[str] = ..., failure_type: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class Tally(_message.Message):
    __slots__ = ("saga_type", "status", "count", "build", "blocked", "paused")
    SAGA_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    saga_type: str
    status: _history_pb2.Status
    count: int
    build: str
    blocked: bool
    paused: bool
    def __init__(self, saga_type: _Optional[str] = ..., status: _Optional[_Union[_history_pb2.Status, str]] = ..., count: _Optional[int] = ..., build: _Optional[str] = ..., blocked: bool = ..., paused: bool = ...) -> None: ...

class ClaimRequest(_message.Message):
    __slots__ = ("namespace", "group", "item", "lease_ms", "confirm")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    group: str
    item: str
    lease_ms: int
    confirm: bool
    def __init__(self, namespace: _Optional[str] = ..., group: _Optional[str] = ..., item: _Optional[str] = ..., lease_ms: _Optional[int] = ..., confirm: bool = ...) -> None: ...

class ClaimReply(_message.Message):
    __slots__ = ("claimed",)
    CLAIMED_FIELD_NUMBER: _ClassVar[int]
    claimed: bool
    def __init__(self, claimed: bool = ...) -> None: ...

class ChangesRequest(_message.Message):
    __slots__ = ("namespace", "status", "after_ms", "limit")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    status: _containers.RepeatedScalarFieldContainer[_history_pb2.Status]
    after_ms: int
    limit: int
    def __init__(self, namespace: _Optional[str] = ..., status: _Optional[_Iterable[_Union[_history_pb2.Status, str]]] = ..., after_ms: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class MessageReply(_message.Message):
    __slots__ = ("duplicate", "waits_for")
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    duplicate: bool
    waits_for: str
    def __init__(self, duplicate: bool = ..., waits_for: _Optional[str] = ...) -> None: ...

class QueryRequest(_message.Message):
    __slots__ = ("key", "name", "input", "timeout_ms")
    KEY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    name: str
    input: _payload_pb2.Payload
    timeout_ms: int
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., name: _Optional[str] = ..., input: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class QueryReply(_message.Message):
    __slots__ = ("key", "result", "failure", "refused", "note")
    KEY_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    result: _payload_pb2.Payload
    failure: _payload_pb2.Failure
    refused: str
    note: str
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., result: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., failure: _Optional[_Union[_payload_pb2.Failure, _Mapping]] = ..., refused: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ...) -> None: ...

class Description(_message.Message):
    __slots__ = ("key", "saga_type", "status", "owner", "epoch", "next_seq", "started_ms", "updated_ms", "ended_ms", "wake_at_ms", "blocked", "result", "failure", "steps", "unread", "state", "past_pivot", "recoverable", "previous_run", "next_run", "warning", "attributes", "messages", "messages_left_out", "settling", "unwinding", "from_journal", "restarted", "version", "build", "paused", "pauses", "sub_state", "doing", "damaged", "starts_ms", "memo")
    class StateEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _payload_pb2.Payload
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KEY_FIELD_NUMBER: _ClassVar[int]
    SAGA_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQ_FIELD_NUMBER: _ClassVar[int]
    STARTED_MS_FIELD_NUMBER: _ClassVar[int]
    UPDATED_MS_FIELD_NUMBER: _ClassVar[int]
    ENDED_MS_FIELD_NUMBER: _ClassVar[int]
    WAKE_AT_MS_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    UNREAD_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PAST_PIVOT_FIELD_NUMBER: _ClassVar[int]
    RECOVERABLE_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_RUN_FIELD_NUMBER: _ClassVar[int]
    NEXT_RUN_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    SETTLING_FIELD_NUMBER: _ClassVar[int]
    UNWINDING_FIELD_NUMBER: _ClassVar[int]
    FROM_JOURNAL_FIELD_NUMBER: _ClassVar[int]
    RESTARTED_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    PAUSES_FIELD_NUMBER: _ClassVar[int]
    SUB_STATE_FIELD_NUMBER: _ClassVar[int]
    DOING_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    STARTS_MS_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    saga_type: str
    status: _history_pb2.Status
    owner: str
    epoch: int
    next_seq: int
    started_ms: int
    updated_ms: int
    ended_ms: int
    wake_at_ms: int
    blocked: str
    result: _payload_pb2.Payload
    failure: _payload_pb2.Failure
    steps: _containers.RepeatedCompositeFieldContainer[StepView]
    unread: _containers.RepeatedScalarFieldContainer[str]
    state: _containers.MessageMap[str, _payload_pb2.Payload]
    past_pivot: bool
    recoverable: bool
    previous_run: int
    next_run: int
    warning: str
    attributes: _containers.ScalarMap[str, str]
    messages: _containers.RepeatedCompositeFieldContainer[MessageView]
    messages_left_out: int
    settling: bool
    unwinding: bool
    from_journal: str
    restarted: str
    version: int
    build: str
    paused: str
    pauses: _containers.RepeatedCompositeFieldContainer[Pause]
    sub_state: _history_pb2.SubState
    doing: _history_pb2.Doing
    damaged: str
    starts_ms: int
    memo: _payload_pb2.Payload
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., saga_type: _Optional[str] = ..., status: _Optional[_Union[_history_pb2.Status, str]] = ..., owner: _Optional[str] = ..., epoch: _Optional[int] = ..., next_seq: _Optional[int] = ..., started_ms: _Optional[int] = ..., updated_ms: _Optional[int] = ..., ended_ms: _Optional[int] = ..., wake_at_ms: _Optional[int] = ..., blocked: _Optional[str] = ..., result: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., failure: _Optional[_Union[_payload_pb2.Failure, _Mapping]] = ..., steps: _Optional[_Iterable[_Union[StepView, _Mapping]]] = ..., unread: _Optional[_Iterable[str]] = ..., state: _Optional[_Mapping[str, _payload_pb2.Payload]] = ..., past_pivot: bool = ..., recoverable: bool = ..., previous_run: _Optional[int] = ..., next_run: _Optional[int] = ..., warning: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ..., messages: _Optional[_Iterable[_Union[MessageView, _Mapping]]] = ..., messages_left_out: _Optional[int] = ..., settling: bool = ..., unwinding: bool = ..., from_journal: _Optional[str] = ..., restarted: _Optional[str] = ..., version: _Optional[int] = ..., build: _Optional[str] = ..., paused: _Optional[str] = ..., pauses: _Optional[_Iterable[_Union[Pause, _Mapping]]] = ..., sub_state: _Optional[_Union[_history_pb2.SubState, str]] = ..., doing: _Optional[_Union[_history_pb2.Doing, _Mapping]] = ..., damaged: _Optional[str] = ..., starts_ms: _Optional[int] = ..., memo: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class Pause(_message.Message):
    __slots__ = ("who", "reason", "since_ms", "stop_clocks", "saga_type")
    WHO_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    STOP_CLOCKS_FIELD_NUMBER: _ClassVar[int]
    SAGA_TYPE_FIELD_NUMBER: _ClassVar[int]
    who: str
    reason: str
    since_ms: int
    stop_clocks: bool
    saga_type: str
    def __init__(self, who: _Optional[str] = ..., reason: _Optional[str] = ..., since_ms: _Optional[int] = ..., stop_clocks: bool = ..., saga_type: _Optional[str] = ...) -> None: ...

class MessageView(_message.Message):
    __slots__ = ("message_id", "kind", "state", "name", "received_ms", "who", "reason", "call", "failure")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_MS_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    kind: str
    state: str
    name: str
    received_ms: int
    who: str
    reason: str
    call: str
    failure: _payload_pb2.Failure
    def __init__(self, message_id: _Optional[str] = ..., kind: _Optional[str] = ..., state: _Optional[str] = ..., name: _Optional[str] = ..., received_ms: _Optional[int] = ..., who: _Optional[str] = ..., reason: _Optional[str] = ..., call: _Optional[str] = ..., failure: _Optional[_Union[_payload_pb2.Failure, _Mapping]] = ...) -> None: ...

class StepView(_message.Message):
    __slots__ = ("call", "name", "state", "attempts", "last_error", "compensation", "compensation_state", "compensation_attempts", "compensation_error", "started_ms", "ended_ms", "scope", "compensation_seq", "compensation_failing_ms")
    CALL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    COMPENSATION_FIELD_NUMBER: _ClassVar[int]
    COMPENSATION_STATE_FIELD_NUMBER: _ClassVar[int]
    COMPENSATION_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    COMPENSATION_ERROR_FIELD_NUMBER: _ClassVar[int]
    STARTED_MS_FIELD_NUMBER: _ClassVar[int]
    ENDED_MS_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    COMPENSATION_SEQ_FIELD_NUMBER: _ClassVar[int]
    COMPENSATION_FAILING_MS_FIELD_NUMBER: _ClassVar[int]
    call: str
    name: str
    state: str
    attempts: int
    last_error: str
    compensation: str
    compensation_state: str
    compensation_attempts: int
    compensation_error: str
    started_ms: int
    ended_ms: int
    scope: str
    compensation_seq: int
    compensation_failing_ms: int
    def __init__(self, call: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[str] = ..., attempts: _Optional[int] = ..., last_error: _Optional[str] = ..., compensation: _Optional[str] = ..., compensation_state: _Optional[str] = ..., compensation_attempts: _Optional[int] = ..., compensation_error: _Optional[str] = ..., started_ms: _Optional[int] = ..., ended_ms: _Optional[int] = ..., scope: _Optional[str] = ..., compensation_seq: _Optional[int] = ..., compensation_failing_ms: _Optional[int] = ...) -> None: ...

class HistoryRequest(_message.Message):
    __slots__ = ("key", "from_seq", "limit")
    KEY_FIELD_NUMBER: _ClassVar[int]
    FROM_SEQ_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    from_seq: int
    limit: int
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., from_seq: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class HistoryReply(_message.Message):
    __slots__ = ("events", "next_seq", "key", "damaged")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQ_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_history_pb2.Event]
    next_seq: int
    key: _history_pb2.RunKey
    damaged: str
    def __init__(self, events: _Optional[_Iterable[_Union[_history_pb2.Event, _Mapping]]] = ..., next_seq: _Optional[int] = ..., key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., damaged: _Optional[str] = ...) -> None: ...

class FetchRequest(_message.Message):
    __slots__ = ("key", "hash", "size")
    KEY_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    hash: bytes
    size: int
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., hash: _Optional[bytes] = ..., size: _Optional[int] = ...) -> None: ...

class WaitRequest(_message.Message):
    __slots__ = ("key", "wait_ms", "outcome")
    KEY_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    wait_ms: int
    outcome: bool
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., wait_ms: _Optional[int] = ..., outcome: bool = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("namespace", "saga_type", "status", "limit", "page", "started_before_ms", "started_after_ms", "attributes", "correlation_key", "build", "blocked", "paused", "sub_state", "failure_type", "ended_after_ms", "ended_before_ms", "id_prefix")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SAGA_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    STARTED_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_KEY_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    SUB_STATE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_TYPE_FIELD_NUMBER: _ClassVar[int]
    ENDED_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    ENDED_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    ID_PREFIX_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    saga_type: str
    status: _containers.RepeatedScalarFieldContainer[_history_pb2.Status]
    limit: int
    page: str
    started_before_ms: int
    started_after_ms: int
    attributes: _containers.ScalarMap[str, str]
    correlation_key: str
    build: str
    blocked: bool
    paused: bool
    sub_state: _containers.RepeatedScalarFieldContainer[_history_pb2.SubState]
    failure_type: str
    ended_after_ms: int
    ended_before_ms: int
    id_prefix: str
    def __init__(self, namespace: _Optional[str] = ..., saga_type: _Optional[str] = ..., status: _Optional[_Iterable[_Union[_history_pb2.Status, str]]] = ..., limit: _Optional[int] = ..., page: _Optional[str] = ..., started_before_ms: _Optional[int] = ..., started_after_ms: _Optional[int] = ..., attributes: _Optional[_Mapping[str, str]] = ..., correlation_key: _Optional[str] = ..., build: _Optional[str] = ..., blocked: bool = ..., paused: bool = ..., sub_state: _Optional[_Iterable[_Union[_history_pb2.SubState, str]]] = ..., failure_type: _Optional[str] = ..., ended_after_ms: _Optional[int] = ..., ended_before_ms: _Optional[int] = ..., id_prefix: _Optional[str] = ...) -> None: ...

class ListReply(_message.Message):
    __slots__ = ("sagas", "next_page")
    SAGAS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_FIELD_NUMBER: _ClassVar[int]
    sagas: _containers.RepeatedCompositeFieldContainer[Description]
    next_page: str
    def __init__(self, sagas: _Optional[_Iterable[_Union[Description, _Mapping]]] = ..., next_page: _Optional[str] = ...) -> None: ...
