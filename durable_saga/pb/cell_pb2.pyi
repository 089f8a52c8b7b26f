from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Cell(_message.Message):
    __slots__ = ("servers", "homes", "you_are_at")
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    HOMES_FIELD_NUMBER: _ClassVar[int]
    YOU_ARE_AT_FIELD_NUMBER: _ClassVar[int]
    servers: _containers.RepeatedScalarFieldContainer[str]
    homes: _containers.RepeatedScalarFieldContainer[int]
    you_are_at: str
    def __init__(self, servers: _Optional[_Iterable[str]] = ..., homes: _Optional[_Iterable[int]] = ..., you_are_at: _Optional[str] = ...) -> None: ...

class CellRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
