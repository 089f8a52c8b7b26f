"""Who may call what: identities, their grants, and what those give by the tables of `durable_saga.pb.roles`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from durable_saga.pb import access_pb2 as a
from durable_saga.pb.roles import ADMINISTERING, CALLS, KNOWN, WORKING, Role, covers, includes


@dataclass(frozen=True, slots=True)
class Grant:
    """`saga_types` are those of the role worker; it means nothing to the others."""

    roles: frozenset[Role]
    namespaces: Sequence[str]
    saga_types: Sequence[str] = ("*",)

    def to_message(self) -> a.Rights:
        roles = [role.value for role in Role if role in self.roles]
        return a.Rights(roles=roles, namespaces=self.namespaces, saga_types=self.saga_types)


def grant_of(roles: Iterable[str], namespaces: Sequence[str], saga_types: Sequence[str]) -> Grant:
    """Raises ValueError, in a sentence."""
    known = [role.value for role in Role]
    if not (given := list(roles)):
        raise ValueError(f"no role is given: use one or more of {', '.join(known)}")
    for role in given:
        if role not in known:
            raise ValueError(f"{role!r} isn't a role; the roles are {', '.join(known)}")
    for pattern in (*namespaces, *saga_types):
        if not pattern or "*" in pattern[:-1] or not pattern.isprintable():
            raise ValueError(f"{pattern!r} isn't a pattern: give a name, with or without a * at its end")
    if not namespaces:
        raise ValueError("no namespace is given: give names, or * for all")
    return Grant(frozenset(Role(role) for role in given), tuple(namespaces), tuple(saga_types) or ("*",))


@dataclass(frozen=True, slots=True)
class Identity:
    """`kind`: certificate, jwt, token. `expires_ms` 0: never. `token`: the id of a token of ours."""

    name: str
    kind: str
    grants: Sequence[Grant]
    expires_ms: int = 0
    token: str = ""

    def may(self, wanted: frozenset[Role], namespace: str) -> bool:
        return any(not wanted.isdisjoint(one.roles) and covers(one.namespaces, namespace) for one in self.grants)

    def administers(self, pattern: str) -> bool:
        """All namespaces of a pattern."""
        return any(Role.ADMIN in one.roles and includes(one.namespaces, pattern) for one in self.grants)

    def may_run(self, namespace: str, saga_type: str) -> bool:
        """As a worker."""
        for one in self.grants:
            if not covers(one.namespaces, namespace):
                continue
            if Role.ADMIN in one.roles or (Role.WORKER in one.roles and covers(one.saga_types, saga_type)):
                return True
        return False

    def to_message(self) -> a.Identity:
        rights = [one.to_message() for one in self.grants]
        return a.Identity(name=self.name, kind=self.kind, rights=rights, expires_ms=self.expires_ms)


def namespace_of(request: Any) -> str:
    """That the request is about. Of `Beat`: empty."""
    fields = request.DESCRIPTOR.fields_by_name
    if "key" in fields and fields["key"].message_type is not None:
        return str(request.key.namespace)
    return str(getattr(request, "namespace", ""))


def refusal(identity: Identity, call: str, request: Any) -> str:
    """Why not; empty: it may. `Work` is looked at with its Hello. A call that no table has is nobody's."""
    if call in KNOWN:
        return ""
    wanted = CALLS.get(call, frozenset())
    if call in ADMINISTERING:
        patterns = list(request.rights.namespaces) if call == "Grant" else [request.namespace or "*"]
        refused = [one for one in patterns or ["*"] if not identity.administers(one)]
        return _told(identity, call, frozenset({Role.ADMIN}), refused[0]) if refused else ""
    if call in ("Work", "Beat"):
        may = any(not wanted.isdisjoint(one.roles) for one in identity.grants)
        return "" if may else _told(identity, call, wanted, "")
    namespace = namespace_of(request)
    return "" if identity.may(wanted, namespace) else _told(identity, call, wanted, namespace)


def refusal_of_worker(identity: Identity, namespace: str, saga_types: Iterable[str]) -> str:
    """Why it may not say this Hello; empty: it may."""
    if not identity.may(WORKING, namespace):
        return _told(identity, "Work", WORKING, namespace)
    refused = [one for one in saga_types if not identity.may_run(namespace, one)]
    if refused:
        return f"{identity.name} is a worker in namespace {namespace!r}, but not for {', '.join(map(repr, refused[:5]))}"
    return ""


def _told(identity: Identity, call: str, wanted: frozenset[Role], namespace: str) -> str:
    roles = " or ".join(role.value for role in Role if role in wanted) or "no role that this version knows"
    where = f" in namespace {namespace!r}" if namespace not in ("", "*") else " in every namespace" if namespace else ""
    hint = "; an admin of one namespace names it (--namespace)" if where == " in every namespace" else ""
    return f"{identity.name} may not call {call}: that needs {roles}{where}{hint}"
