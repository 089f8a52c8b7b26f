from durable_saga.pb import history_pb2 as _history_pb2
from durable_saga.pb import payload_pb2 as _payload_pb2
from durable_saga.pb import cell_pb2 as _cell_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WorkerFrame(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[WorkerItem]
    def __init__(self, items: _Optional[_Iterable[_Union[WorkerItem, _Mapping]]] = ...) -> None: ...

class WorkerItem(_message.Message):
    __slots__ = ("hello", "commit", "release", "heartbeat", "drain", "owned", "capacity", "answer")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    OWNED_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    commit: Commit
    release: Release
    heartbeat: Heartbeat
    drain: Drain
    owned: Owned
    capacity: Capacity
    answer: QueryAnswer
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., commit: _Optional[_Union[Commit, _Mapping]] = ..., release: _Optional[_Union[Release, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., owned: _Optional[_Union[Owned, _Mapping]] = ..., capacity: _Optional[_Union[Capacity, _Mapping]] = ..., answer: _Optional[_Union[QueryAnswer, _Mapping]] = ...) -> None: ...

class ServerFrame(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ServerItem]
    def __init__(self, items: _Optional[_Iterable[_Union[ServerItem, _Mapping]]] = ...) -> None: ...

class ServerItem(_message.Message):
    __slots__ = ("welcome", "assign", "commit_reply", "deliver", "revoke", "cell", "paused_types", "query")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ASSIGN_FIELD_NUMBER: _ClassVar[int]
    COMMIT_REPLY_FIELD_NUMBER: _ClassVar[int]
    DELIVER_FIELD_NUMBER: _ClassVar[int]
    REVOKE_FIELD_NUMBER: _ClassVar[int]
    CELL_FIELD_NUMBER: _ClassVar[int]
    PAUSED_TYPES_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    assign: Assign
    commit_reply: CommitReply
    deliver: Deliver
    revoke: Revoke
    cell: _cell_pb2.Cell
    paused_types: PausedTypes
    query: AskedQuery
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., assign: _Optional[_Union[Assign, _Mapping]] = ..., commit_reply: _Optional[_Union[CommitReply, _Mapping]] = ..., deliver: _Optional[_Union[Deliver, _Mapping]] = ..., revoke: _Optional[_Union[Revoke, _Mapping]] = ..., cell: _Optional[_Union[_cell_pb2.Cell, _Mapping]] = ..., paused_types: _Optional[_Union[PausedTypes, _Mapping]] = ..., query: _Optional[_Union[AskedQuery, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("worker", "protocol", "namespace", "saga_types", "capacity", "owned", "lease_ms", "secret", "build", "undoes_others", "answers_queries")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SAGA_TYPES_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    OWNED_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    UNDOES_OTHERS_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_QUERIES_FIELD_NUMBER: _ClassVar[int]
    worker: str
    protocol: int
    namespace: str
    saga_types: _containers.RepeatedScalarFieldContainer[str]
    capacity: int
    owned: _containers.RepeatedCompositeFieldContainer[Owned]
    lease_ms: int
    secret: bytes
    build: str
    undoes_others: bool
    answers_queries: bool
    def __init__(self, worker: _Optional[str] = ..., protocol: _Optional[int] = ..., namespace: _Optional[str] = ..., saga_types: _Optional[_Iterable[str]] = ..., capacity: _Optional[int] = ..., owned: _Optional[_Iterable[_Union[Owned, _Mapping]]] = ..., lease_ms: _Optional[int] = ..., secret: _Optional[bytes] = ..., build: _Optional[str] = ..., undoes_others: bool = ..., answers_queries: bool = ...) -> None: ...

class Owned(_message.Message):
    __slots__ = ("key", "epoch", "incarnation")
    KEY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    epoch: int
    incarnation: bytes
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., epoch: _Optional[int] = ..., incarnation: _Optional[bytes] = ...) -> None: ...

class Capacity(_message.Message):
    __slots__ = ("sagas",)
    SAGAS_FIELD_NUMBER: _ClassVar[int]
    sagas: int
    def __init__(self, sagas: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("protocol", "server", "heartbeat_ms", "lease_ms", "cell", "secret", "now_ms", "paused_types")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_MS_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    CELL_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    NOW_MS_FIELD_NUMBER: _ClassVar[int]
    PAUSED_TYPES_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    server: str
    heartbeat_ms: int
    lease_ms: int
    cell: _cell_pb2.Cell
    secret: bytes
    now_ms: int
    paused_types: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, protocol: _Optional[int] = ..., server: _Optional[str] = ..., heartbeat_ms: _Optional[int] = ..., lease_ms: _Optional[int] = ..., cell: _Optional[_Union[_cell_pb2.Cell, _Mapping]] = ..., secret: _Optional[bytes] = ..., now_ms: _Optional[int] = ..., paused_types: _Optional[_Iterable[str]] = ...) -> None: ...

class Assign(_message.Message):
    __slots__ = ("key", "incarnation", "epoch", "events", "inbox", "more", "interrupted")
    KEY_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    INBOX_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    INTERRUPTED_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    incarnation: bytes
    epoch: int
    events: _containers.RepeatedCompositeFieldContainer[_history_pb2.Event]
    inbox: _containers.RepeatedCompositeFieldContainer[_history_pb2.InboxMessage]
    more: bool
    interrupted: bool
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., incarnation: _Optional[bytes] = ..., epoch: _Optional[int] = ..., events: _Optional[_Iterable[_Union[_history_pb2.Event, _Mapping]]] = ..., inbox: _Optional[_Iterable[_Union[_history_pb2.InboxMessage, _Mapping]]] = ..., more: bool = ..., interrupted: bool = ...) -> None: ...

class Commit(_message.Message):
    __slots__ = ("request", "key", "incarnation", "epoch", "commit_id", "events", "status", "wake_at_ms", "consumed", "release", "wake_in_ms", "paused", "doing")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    COMMIT_ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    WAKE_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    WAKE_IN_MS_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    DOING_FIELD_NUMBER: _ClassVar[int]
    request: int
    key: _history_pb2.RunKey
    incarnation: bytes
    epoch: int
    commit_id: bytes
    events: _containers.RepeatedCompositeFieldContainer[_history_pb2.Event]
    status: _history_pb2.Status
    wake_at_ms: int
    consumed: _containers.RepeatedScalarFieldContainer[str]
    release: bool
    wake_in_ms: int
    paused: str
    doing: _history_pb2.Doing
    def __init__(self, request: _Optional[int] = ..., key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., incarnation: _Optional[bytes] = ..., epoch: _Optional[int] = ..., commit_id: _Optional[bytes] = ..., events: _Optional[_Iterable[_Union[_history_pb2.Event, _Mapping]]] = ..., status: _Optional[_Union[_history_pb2.Status, str]] = ..., wake_at_ms: _Optional[int] = ..., consumed: _Optional[_Iterable[str]] = ..., release: bool = ..., wake_in_ms: _Optional[int] = ..., paused: _Optional[str] = ..., doing: _Optional[_Union[_history_pb2.Doing, _Mapping]] = ...) -> None: ...

class CommitReply(_message.Message):
    __slots__ = ("request", "outcome", "reason", "retry_after_ms", "key")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[CommitReply.Outcome]
        COMMITTED: _ClassVar[CommitReply.Outcome]
        FENCED: _ClassVar[CommitReply.Outcome]
        UNKNOWN: _ClassVar[CommitReply.Outcome]
        REFUSED: _ClassVar[CommitReply.Outcome]
    OUTCOME_UNSPECIFIED: CommitReply.Outcome
    COMMITTED: CommitReply.Outcome
    FENCED: CommitReply.Outcome
    UNKNOWN: CommitReply.Outcome
    REFUSED: CommitReply.Outcome
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    request: int
    outcome: CommitReply.Outcome
    reason: str
    retry_after_ms: int
    key: _history_pb2.RunKey
    def __init__(self, request: _Optional[int] = ..., outcome: _Optional[_Union[CommitReply.Outcome, str]] = ..., reason: _Optional[str] = ..., retry_after_ms: _Optional[int] = ..., key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("key", "incarnation", "epoch", "wake_at_ms", "blocked", "retry_after_ms", "next_seq", "status", "saga_type", "consumed", "wake_in_ms", "doing")
    KEY_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    WAKE_AT_MS_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQ_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SAGA_TYPE_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_FIELD_NUMBER: _ClassVar[int]
    WAKE_IN_MS_FIELD_NUMBER: _ClassVar[int]
    DOING_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    incarnation: bytes
    epoch: int
    wake_at_ms: int
    blocked: str
    retry_after_ms: int
    next_seq: int
    status: _history_pb2.Status
    saga_type: str
    consumed: _containers.RepeatedScalarFieldContainer[str]
    wake_in_ms: int
    doing: _history_pb2.Doing
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., incarnation: _Optional[bytes] = ..., epoch: _Optional[int] = ..., wake_at_ms: _Optional[int] = ..., blocked: _Optional[str] = ..., retry_after_ms: _Optional[int] = ..., next_seq: _Optional[int] = ..., status: _Optional[_Union[_history_pb2.Status, str]] = ..., saga_type: _Optional[str] = ..., consumed: _Optional[_Iterable[str]] = ..., wake_in_ms: _Optional[int] = ..., doing: _Optional[_Union[_history_pb2.Doing, _Mapping]] = ...) -> None: ...

class Deliver(_message.Message):
    __slots__ = ("key", "epoch", "message")
    KEY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    epoch: int
    message: _history_pb2.InboxMessage
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., epoch: _Optional[int] = ..., message: _Optional[_Union[_history_pb2.InboxMessage, _Mapping]] = ...) -> None: ...

class AskedQuery(_message.Message):
    __slots__ = ("number", "key", "saga_type", "name", "input", "timeout_ms", "events", "more")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SAGA_TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    number: int
    key: _history_pb2.RunKey
    saga_type: str
    name: str
    input: _payload_pb2.Payload
    timeout_ms: int
    events: _containers.RepeatedCompositeFieldContainer[_history_pb2.Event]
    more: bool
    def __init__(self, number: _Optional[int] = ..., key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., saga_type: _Optional[str] = ..., name: _Optional[str] = ..., input: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., timeout_ms: _Optional[int] = ..., events: _Optional[_Iterable[_Union[_history_pb2.Event, _Mapping]]] = ..., more: bool = ...) -> None: ...

class QueryAnswer(_message.Message):
    __slots__ = ("number", "result", "failure", "invalid", "refused", "note")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    INVALID_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    number: int
    result: _payload_pb2.Payload
    failure: _payload_pb2.Failure
    invalid: str
    refused: str
    note: str
    def __init__(self, number: _Optional[int] = ..., result: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., failure: _Optional[_Union[_payload_pb2.Failure, _Mapping]] = ..., invalid: _Optional[str] = ..., refused: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class Revoke(_message.Message):
    __slots__ = ("key", "epoch", "reason")
    KEY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    key: _history_pb2.RunKey
    epoch: int
    reason: str
    def __init__(self, key: _Optional[_Union[_history_pb2.RunKey, _Mapping]] = ..., epoch: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("sagas", "slots", "slots_used", "slots_waiting")
    SAGAS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_USED_FIELD_NUMBER: _ClassVar[int]
    SLOTS_WAITING_FIELD_NUMBER: _ClassVar[int]
    sagas: int
    slots: int
    slots_used: int
    slots_waiting: int
    def __init__(self, sagas: _Optional[int] = ..., slots: _Optional[int] = ..., slots_used: _Optional[int] = ..., slots_waiting: _Optional[int] = ...) -> None: ...

class BeatRequest(_message.Message):
    __slots__ = ("worker", "blocked_at", "secret")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_AT_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    worker: str
    blocked_at: str
    secret: bytes
    def __init__(self, worker: _Optional[str] = ..., blocked_at: _Optional[str] = ..., secret: _Optional[bytes] = ...) -> None: ...

class BeatReply(_message.Message):
    __slots__ = ("known",)
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    known: bool
    def __init__(self, known: bool = ...) -> None: ...

class PausedTypes(_message.Message):
    __slots__ = ("saga_types",)
    SAGA_TYPES_FIELD_NUMBER: _ClassVar[int]
    saga_types: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, saga_types: _Optional[_Iterable[str]] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
