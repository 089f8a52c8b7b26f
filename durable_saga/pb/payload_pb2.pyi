from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Payload(_message.Message):
    __slots__ = ("data", "hash", "size", "seal")
    DATA_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SEAL_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    hash: bytes
    size: int
    seal: Seal
    def __init__(self, data: _Optional[bytes] = ..., hash: _Optional[bytes] = ..., size: _Optional[int] = ..., seal: _Optional[_Union[Seal, _Mapping]] = ...) -> None: ...

class Seal(_message.Message):
    __slots__ = ("codec", "key", "header", "published")
    CODEC_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    codec: str
    key: str
    header: bytes
    published: bool
    def __init__(self, codec: _Optional[str] = ..., key: _Optional[str] = ..., header: _Optional[bytes] = ..., published: bool = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("type", "message", "traceback", "cause", "code", "not_applied", "non_retryable", "attributes", "args", "members", "bases", "notes", "sealed", "seal")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    NOT_APPLIED_FIELD_NUMBER: _ClassVar[int]
    NON_RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    BASES_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    SEAL_FIELD_NUMBER: _ClassVar[int]
    type: str
    message: str
    traceback: str
    cause: Failure
    code: str
    not_applied: bool
    non_retryable: bool
    attributes: bytes
    args: bytes
    members: _containers.RepeatedCompositeFieldContainer[Failure]
    bases: _containers.RepeatedScalarFieldContainer[str]
    notes: _containers.RepeatedScalarFieldContainer[str]
    sealed: bytes
    seal: Seal
    def __init__(self, type: _Optional[str] = ..., message: _Optional[str] = ..., traceback: _Optional[str] = ..., cause: _Optional[_Union[Failure, _Mapping]] = ..., code: _Optional[str] = ..., not_applied: bool = ..., non_retryable: bool = ..., attributes: _Optional[bytes] = ..., args: _Optional[bytes] = ..., members: _Optional[_Iterable[_Union[Failure, _Mapping]]] = ..., bases: _Optional[_Iterable[str]] = ..., notes: _Optional[_Iterable[str]] = ..., sealed: _Optional[bytes] = ..., seal: _Optional[_Union[Seal, _Mapping]] = ...) -> None: ...
