"""How a client shows who it is, and knows the server: a CA, a certificate of its own, a token. By arguments or the environment,
never in a URL.

    DURABLE_SAGA_CA                      PEM file; without it the system's CAs
    DURABLE_SAGA_CERT, DURABLE_SAGA_KEY  PEM files of a client certificate
    DURABLE_SAGA_TOKEN, or _TOKEN_FILE   a bearer token; a file is read for each new stream, so it may be renewed

Files that change are read again for the next connection. What does not fit together is a ValueError that names it,
as is a token that no header can hold; a client certificate that holds no longer, not yet or not for long is warned of. A token
goes over TLS, or to loopback, nowhere else.
"""

from __future__ import annotations

import logging
import os
import pathlib
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
import grpc.aio

from durable_saga.pb.limits import BEARER_CHARACTERS_MAX
from durable_saga.pb.listening import is_loopback
from durable_saga.pb.pem_files import context_of, load_pair, read_bounded, trouble_of
from durable_saga.pb.poller import keep_poller
from durable_saga.pb.tls_files import Stamp, stamp_of

log = logging.getLogger(__name__)
PREFIX = "DURABLE_SAGA_"
SCHEME = "grpcs://"
LOOK_SECONDS = 2.0
TOKEN_FILE_BYTES_MAX = 65_536
Token = str | Callable[[], str]
Metadata = tuple[tuple[str, str], ...]
_NAMED = {"\n": "a newline", "\r": "a carriage return", "\t": "a tab", " ": "a space", "\0": "a zero byte"}


@dataclass(slots=True, kw_only=True)
class Credentials:
    """`token` is the text, or a function that gives the one of now. Nothing of it shows in `repr()`."""

    tls: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""
    token: Token = field(default="", repr=False)
    token_file: str = ""
    _stamp: Stamp = ()
    _looked: float = 0.0
    _version: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for what does not fit together, is no PEM or no token, OSError for a file that can't be read."""
        if bool(self.cert) != bool(self.key):
            raise ValueError("a client certificate and its key go together: one of cert and key is missing")
        if self.token and self.token_file:
            raise ValueError("a token and a token file are both given: give only one of them")
        if isinstance(self.token, str) and self.token:
            self.token = bearer_of(self.token, "the token")
        if not self.tls and (self.ca or self.cert):
            raise ValueError("a CA or client certificate is given, but the URL isn't for TLS: write grpcs://host:port")
        if self.tls:
            self._check_files()
            self._stamp = stamp_of(*self._files)

    @property
    def _files(self) -> Sequence[str]:
        return [file for file in (self.ca, self.cert, self.key) if file]

    def context(self) -> ssl.SSLContext:
        """What the files make: the system's CAs or the one that is given, and the client certificate. Raises ValueError and
        OSError, which name the file."""
        context = context_of(self.ca)
        if self.cert:
            load_pair(context, self.cert, self.key)
        return context

    def _check_files(self) -> None:
        self.context()
        if self.cert and (told := trouble_of(self.cert, datetime.now(UTC))):
            log.warning("%s", told)

    def version(self) -> int:
        """Another one when connections are to be made anew: a file of TLS has changed, and all fit together."""
        if not self._stamp or (now := time.monotonic()) < self._looked + LOOK_SECONDS:
            return self._version
        self._looked = now
        try:
            if (stamp := stamp_of(*self._files)) != self._stamp:
                self._check_files()
                self._stamp = stamp
                self._version += 1
        except (OSError, ValueError) as error:
            # they are being written, perhaps: the old connection goes on, and this is looked at again
            log.warning("the new TLS files can't be used, so the old ones stay in use: %s", error)
        return self._version

    def _made(self) -> grpc.ChannelCredentials:
        ca, cert, key = (pathlib.Path(file).read_bytes() if file else None for file in (self.ca, self.cert, self.key))
        return grpc.ssl_channel_credentials(ca or _system_cas(), key, cert)

    def channel(self, target: str, options: Sequence[tuple[str, Any]]) -> grpc.aio.Channel:
        """Raises OSError."""
        keep_poller()
        if self.tls:
            return grpc.aio.secure_channel(target, self._made(), options=options)
        return grpc.aio.insecure_channel(target, options=options)

    def blocking_channel(self, target: str) -> grpc.Channel:
        """For a thread of its own. Raises OSError."""
        return grpc.secure_channel(target, self._made()) if self.tls else grpc.insecure_channel(target)

    def metadata(self, target: str) -> Metadata | None:
        """What is sent with a call to `target`. Raises OSError where the token's file can't be read, ValueError where what it
        holds is no token, and what the token's function raises."""
        if not (self.token or self.token_file) or not (self.tls or is_loopback(target.rpartition(":")[0])):
            return None
        if self.token_file:
            token = _token_in(self.token_file)
        else:
            token = bearer_of(self.token(), "what the token's function returns") if callable(self.token) else self.token
        return (("authorization", f"Bearer {token}"),)


def _system_cas() -> bytes | None:
    """Those of the operating system, as PEM: gRPC brings a list of its own, in which a company's CA is not."""
    if file := ssl.get_default_verify_paths().cafile:  # SSL_CERT_FILE, where it is set
        return pathlib.Path(file).read_bytes()
    found = ssl.create_default_context().get_ca_certs(binary_form=True)  # the store of Windows or macOS
    return "".join(map(ssl.DER_cert_to_PEM_cert, found)).encode() or None


def bearer_of(text: object, source: str) -> str:
    """A token as a header takes it, without white space around it. Raises ValueError, which tells `source` and place, and
    nothing of the token."""
    if not isinstance(text, str):
        raise ValueError(f"{source} must be text, not {type(text).__name__}")
    token = text.strip()
    if not token:
        raise ValueError(f"{source} is empty: a token is expected")
    for place, character in enumerate(token, 1):
        if not "!" <= character <= "~":
            what = _NAMED.get(character, f"U+{ord(character):04X}")
            raise ValueError(
                f"{source} can't be sent: character {place} is {what}; a token is one line of ASCII without spaces"
            )
    if len(token) > BEARER_CHARACTERS_MAX:
        raise ValueError(
            f"{source} has {len(token)} characters, at most {BEARER_CHARACTERS_MAX} are sent (BEARER_CHARACTERS_MAX)"
        )
    return token


def _token_in(file: str) -> str:
    try:
        text = read_bounded(file, TOKEN_FILE_BYTES_MAX).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"the token in {file} can't be sent: the file isn't text in UTF-8") from None
    return bearer_of(text, f"the token in {file}")


def credentials_of(
    *, tls: bool, ca: str | None = None, cert: str | None = None, key: str | None = None, token: Token | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Credentials:  # fmt: skip
    """What is None is taken from the environment; an empty text is none. Raises ValueError and OSError, as Credentials."""

    def found(given: str | None, name: str) -> str:
        return environment.get(PREFIX + name, "") if given is None else given

    token_file = environment.get(f"{PREFIX}TOKEN_FILE", "") if token is None else ""
    if token is None:
        token = environment.get(f"{PREFIX}TOKEN", "")
    try:
        return Credentials(
            tls=tls, ca=found(ca, "CA"), cert=found(cert, "CERT"), key=found(key, "KEY"), token=token, token_file=token_file
        )
    except ValueError as error:
        used = [PREFIX + name for name in ("CA", "CERT", "KEY", "TOKEN", "TOKEN_FILE") if environment.get(PREFIX + name)]
        raise ValueError(f"{error} (set: {', '.join(used)})" if used else str(error)) from None
