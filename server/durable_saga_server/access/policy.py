"""The access file: whose JWTs are taken, and which roles claims and certificates give. Pure; TOML comes in as text.

A table or field that is not known is an error: what is misspelt would else be open or shut without a word.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from durable_saga.pb.roles import covers
from durable_saga_server.access.roles import Grant, grant_of

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Of a public key: never one whose secret the server would have to know."""
ALGORITHMS_USUAL = ("RS256", "ES256")


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtSettings:
    """`jwks` is a URL or a file. `name`: the claim that stands in histories."""

    issuer: str
    audience: Sequence[str]
    jwks: str
    algorithms: Sequence[str] = ALGORITHMS_USUAL
    name: str = "sub"


@dataclass(frozen=True, slots=True)
class Mapped:
    """`claim` is empty for a rule of certificates; then `value` is a pattern of a SAN."""

    claim: str
    value: str
    grant: Grant


@dataclass(frozen=True, slots=True)
class Policy:
    jwt: JwtSettings | None = None
    rules: Sequence[Mapped] = ()

    @property
    def has_names(self) -> bool:
        return any(not one.claim for one in self.rules)

    def of_names(self, names: Sequence[str]) -> list[Grant]:
        """What a certificate with these SANs gives."""
        return [one.grant for one in self.rules if not one.claim and any(covers([one.value], name) for name in names)]

    def of_claims(self, claims: Mapping[str, Any]) -> list[Grant]:
        found = []
        for one in self.rules:
            if one.claim and any(covers([one.value], text) for text in texts_of(claims, one.claim)):
                found.append(one.grant)
        return found


def texts_of(claims: Mapping[str, Any], path: str) -> list[str]:
    """The texts of a claim; a claim of that very name goes before one within another."""
    value: Any = claims
    if path in claims:
        value = claims[path]
    else:
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]


def read_policy(text: str) -> Policy:
    """Raises ValueError, in a sentence."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"this isn't TOML: {error}") from error
    _known(found, ("jwt", "grant"), "the file")
    rules = found.get("grant", [])
    if not isinstance(rules, list) or not all(isinstance(one, dict) for one in rules):
        raise ValueError("write each grant under [[grant]]")
    settings = found.get("jwt")
    policy = Policy(_jwt(settings) if settings is not None else None, tuple(_rule(one) for one in rules))
    if policy.jwt is None and any(one.claim for one in policy.rules):
        raise ValueError("a grant names a claim, but there is no [jwt] section")
    return policy


def _known(table: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    for name in table:
        if name not in names:
            raise ValueError(f"{where} has {name!r}, which isn't one of {', '.join(names)}")


def _text(table: Mapping[str, Any], name: str, where: str) -> str:
    value = table.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where}: {name} must be a text")
    return value


def _texts(table: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    value = table.get(name)
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(one, str) and one.strip() for one in values):
        raise ValueError(f"{where}: {name} must be a text or a list of texts")
    return tuple(values)


def _jwt(table: Any) -> JwtSettings:
    if not isinstance(table, dict):
        raise ValueError("[jwt] must be a table")
    _known(table, ("issuer", "audience", "jwks", "algorithms", "name"), "[jwt]")
    algorithms = _texts(table, "algorithms", "[jwt]") if "algorithms" in table else ALGORITHMS_USUAL
    if refused := [one for one in algorithms if one not in ALGORITHMS]:
        raise ValueError(f"[jwt]: {refused[0]!r} isn't one of {', '.join(ALGORITHMS)}")
    jwks = _text(table, "jwks", "[jwt]")
    if jwks.startswith("http://") and not jwks.startswith(("http://127.0.0.1:", "http://localhost:", "http://[::1]:")):
        raise ValueError("[jwt]: the URL of jwks must be https or loopback: otherwise anybody on the way could change the keys")
    return JwtSettings(
        issuer=_text(table, "issuer", "[jwt]"), audience=_texts(table, "audience", "[jwt]"), jwks=jwks, algorithms=algorithms,
        name=_text(table, "name", "[jwt]") if "name" in table else "sub",
    )  # fmt: skip


def _rule(table: Mapping[str, Any]) -> Mapped:
    where = "a [[grant]]"
    _known(table, ("claim", "value", "san", "roles", "namespaces", "saga_types"), where)
    if ("san" in table) == ("claim" in table):
        raise ValueError(f"{where} must name either a san, or a claim and its value")
    claim = _text(table, "claim", where) if "claim" in table else ""
    value = _text(table, "value" if claim else "san", where)
    if "*" in value[:-1]:
        raise ValueError(f"{where}: {value!r} has a * in the wrong place: a * may only stand at the end")
    if not claim and "value" in table:
        raise ValueError(f"{where}: a san takes no value")
    types = _texts(table, "saga_types", where) if "saga_types" in table else ()
    grant = grant_of(_texts(table, "roles", where), _texts(table, "namespaces", where), types)
    return Mapped(claim, value, grant)
