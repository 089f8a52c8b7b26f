from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Rights(_message.Message):
    __slots__ = ("roles", "namespaces", "saga_types")
    ROLES_FIELD_NUMBER: _ClassVar[int]
    NAMESPACES_FIELD_NUMBER: _ClassVar[int]
    SAGA_TYPES_FIELD_NUMBER: _ClassVar[int]
    roles: _containers.RepeatedScalarFieldContainer[str]
    namespaces: _containers.RepeatedScalarFieldContainer[str]
    saga_types: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, roles: _Optional[_Iterable[str]] = ..., namespaces: _Optional[_Iterable[str]] = ..., saga_types: _Optional[_Iterable[str]] = ...) -> None: ...

class IdentifyRequest(_message.Message):
    __slots__ = ("login_from",)
    LOGIN_FROM_FIELD_NUMBER: _ClassVar[int]
    login_from: str
    def __init__(self, login_from: _Optional[str] = ...) -> None: ...

class Identity(_message.Message):
    __slots__ = ("name", "kind", "rights", "expires_ms")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    rights: _containers.RepeatedCompositeFieldContainer[Rights]
    expires_ms: int
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., rights: _Optional[_Iterable[_Union[Rights, _Mapping]]] = ..., expires_ms: _Optional[int] = ...) -> None: ...

class GrantRequest(_message.Message):
    __slots__ = ("name", "rights", "lifetime_ms", "who")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_MS_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    name: str
    rights: Rights
    lifetime_ms: int
    who: str
    def __init__(self, name: _Optional[str] = ..., rights: _Optional[_Union[Rights, _Mapping]] = ..., lifetime_ms: _Optional[int] = ..., who: _Optional[str] = ...) -> None: ...

class GrantReply(_message.Message):
    __slots__ = ("token", "made")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    MADE_FIELD_NUMBER: _ClassVar[int]
    token: str
    made: Token
    def __init__(self, token: _Optional[str] = ..., made: _Optional[_Union[Token, _Mapping]] = ...) -> None: ...

class Token(_message.Message):
    __slots__ = ("id", "name", "rights", "made_ms", "made_by", "expires_ms", "revoked_ms")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_FIELD_NUMBER: _ClassVar[int]
    MADE_MS_FIELD_NUMBER: _ClassVar[int]
    MADE_BY_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    REVOKED_MS_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    rights: Rights
    made_ms: int
    made_by: str
    expires_ms: int
    revoked_ms: int
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., rights: _Optional[_Union[Rights, _Mapping]] = ..., made_ms: _Optional[int] = ..., made_by: _Optional[str] = ..., expires_ms: _Optional[int] = ..., revoked_ms: _Optional[int] = ...) -> None: ...

class TokensRequest(_message.Message):
    __slots__ = ("namespace",)
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    def __init__(self, namespace: _Optional[str] = ...) -> None: ...

class TokensReply(_message.Message):
    __slots__ = ("tokens",)
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedCompositeFieldContainer[Token]
    def __init__(self, tokens: _Optional[_Iterable[_Union[Token, _Mapping]]] = ...) -> None: ...

class RevokeRequest(_message.Message):
    __slots__ = ("id", "namespace", "who")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    id: str
    namespace: str
    who: str
    def __init__(self, id: _Optional[str] = ..., namespace: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class RevokeReply(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: Token
    def __init__(self, token: _Optional[_Union[Token, _Mapping]] = ...) -> None: ...

class AuditRequest(_message.Message):
    __slots__ = ("namespace", "who", "verb", "saga", "since_ms", "until_ms", "limit", "page")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    VERB_FIELD_NUMBER: _ClassVar[int]
    SAGA_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    who: str
    verb: str
    saga: str
    since_ms: int
    until_ms: int
    limit: int
    page: str
    def __init__(self, namespace: _Optional[str] = ..., who: _Optional[str] = ..., verb: _Optional[str] = ..., saga: _Optional[str] = ..., since_ms: _Optional[int] = ..., until_ms: _Optional[int] = ..., limit: _Optional[int] = ..., page: _Optional[str] = ...) -> None: ...

class AuditEntry(_message.Message):
    __slots__ = ("at_ms", "who", "verb", "namespace", "saga", "detail", "origin", "outcome", "kind")
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    VERB_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SAGA_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    who: str
    verb: str
    namespace: str
    saga: str
    detail: str
    origin: str
    outcome: str
    kind: str
    def __init__(self, at_ms: _Optional[int] = ..., who: _Optional[str] = ..., verb: _Optional[str] = ..., namespace: _Optional[str] = ..., saga: _Optional[str] = ..., detail: _Optional[str] = ..., origin: _Optional[str] = ..., outcome: _Optional[str] = ..., kind: _Optional[str] = ...) -> None: ...

class AuditReply(_message.Message):
    __slots__ = ("entries", "next_page")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AuditEntry]
    next_page: str
    def __init__(self, entries: _Optional[_Iterable[_Union[AuditEntry, _Mapping]]] = ..., next_page: _Optional[str] = ...) -> None: ...
