"""How a process may reach a Cassandra cluster: user, TLS, bundle. From the environment and files alone, never from a URL, which
ends in process lists and logs.

    DURABLE_SAGA_CASSANDRA_USER, _PASSWORD or _PASSWORD_FILE    PasswordAuthenticator
    DURABLE_SAGA_CASSANDRA_CA        PEM file; turns TLS on        DURABLE_SAGA_CASSANDRA_TLS=on: TLS with the system's CAs
    DURABLE_SAGA_CASSANDRA_CERT, _KEY                             PEM files of a client certificate
    DURABLE_SAGA_CASSANDRA_HOST_NAMES=unchecked                   any name in the node's certificate will do
    DURABLE_SAGA_CASSANDRA_BUNDLE    a secure-connect bundle (zip): it brings hosts and certificates

Files are read when a journal is opened. Whatever does not fit together is a ValueError that names the variable.
"""

from __future__ import annotations

import pathlib
import ssl
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

from durable_saga.pb.pem_files import context_of, load_pair

PREFIX = "DURABLE_SAGA_CASSANDRA_"
_NAMES = ("USER", "PASSWORD", "PASSWORD_FILE", "CA", "TLS", "CERT", "KEY", "HOST_NAMES", "BUNDLE")
_BUNDLED = ("config.json", "ca.crt", "cert", "key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """`tls` is None for a connection in the clear. The password does not show in `repr()`."""

    user: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    bundle: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Access:
        """Raises ValueError for what does not fit together, OSError for a file that can't be read."""
        given = {name: value for name in _NAMES if (value := environment.get(PREFIX + name, ""))}
        _refuse_unknown(environment)
        password = given.get("PASSWORD", "")
        if "PASSWORD_FILE" in given:
            if password:
                raise ValueError(f"{PREFIX}PASSWORD and {PREFIX}PASSWORD_FILE are both set: give one of them")
            password = _text(given["PASSWORD_FILE"], "PASSWORD_FILE").strip("\r\n")
        if bool(given.get("USER")) != bool(password):
            raise ValueError(f"{PREFIX}USER and {PREFIX}PASSWORD (or _PASSWORD_FILE) go together: one of them is missing")
        if "BUNDLE" in given and (clash := [name for name in ("CA", "CERT", "KEY", "TLS") if name in given]):
            raise ValueError(f"{PREFIX}BUNDLE brings its own certificates: leave {PREFIX}{clash[0]} out")
        _check_bundle(bundle := given.get("BUNDLE", ""))
        return cls(user=given.get("USER", ""), password=password, tls=_tls(given), bundle=bundle)


def _check_bundle(file: str) -> None:
    """What the driver needs of it. Raises ValueError and OSError."""
    if not file:
        return
    try:
        with zipfile.ZipFile(file) as bundle:
            names = bundle.namelist()
    except zipfile.BadZipFile:
        raise ValueError(f"{PREFIX}BUNDLE names {file}, which isn't a zip file") from None
    if missing := [name for name in _BUNDLED if name not in names]:
        raise ValueError(f"{PREFIX}BUNDLE names {file}, which isn't a secure-connect bundle: it holds no {missing[0]}")


def _tls(given: Mapping[str, str]) -> ssl.SSLContext | None:
    wanted = given.get("TLS", "on" if "CA" in given else "off")
    if wanted not in ("on", "off"):
        raise ValueError(f"{PREFIX}TLS is {wanted!r}: give on or off")
    if wanted == "off":
        if extra := [name for name in ("CA", "CERT", "KEY", "HOST_NAMES") if name in given]:
            raise ValueError(f"{PREFIX}{extra[0]} is for TLS: set {PREFIX}CA, or {PREFIX}TLS=on for the system's CAs")
        return None
    if ("CERT" in given) != ("KEY" in given):
        raise ValueError(f"{PREFIX}CERT and {PREFIX}KEY go together: one of them is missing")
    names = given.get("HOST_NAMES", "checked")
    if names not in ("checked", "unchecked"):
        raise ValueError(f"{PREFIX}HOST_NAMES is {names!r}: give checked or unchecked")
    try:
        context = context_of(given.get("CA", ""))
        if "CERT" in given:
            load_pair(context, given["CERT"], given["KEY"])
    except ValueError as error:
        raise ValueError(f"{PREFIX}CA, _CERT or _KEY: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = names == "checked"
    return context


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    """A variable that is mistyped would otherwise leave a connection open to everybody, without a word."""
    for name in environment:
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in _NAMES:
            raise ValueError(f"{name} isn't one of {', '.join(PREFIX + known for known in _NAMES)}")


def _text(file: str, name: str) -> str:
    try:
        return pathlib.Path(file).read_text()
    except UnicodeDecodeError as error:
        raise ValueError(f"{PREFIX}{name} names {file}, which isn't text: {error}") from error
