"""How a client shows who it is, and knows the server: a CA, a certificate of its own, a token. By arguments or the environment,
never in a URL.

    DURABLE_SAGA_CA                      PEM file; without it the system's CAs
    DURABLE_SAGA_CERT, DURABLE_SAGA_KEY  PEM files of a client certificate
    DURABLE_SAGA_TOKEN, or _TOKEN_FILE   a bearer token; a file is read for each new stream, so it may be renewed

Files that change are read again for the next connection. What does not fit together is a ValueError that names it. A token goes
over TLS, or to loopback, nowhere else.
"""

from __future__ import annotations

import logging
import os
import pathlib
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from durable_saga.pb.listening import is_loopback
from durable_saga.pb.poller import keep_poller
from durable_saga.pb.tls_files import Stamp, stamp_of

log = logging.getLogger(__name__)
PREFIX = "DURABLE_SAGA_"
SCHEME = "grpcs://"
LOOK_SECONDS = 2.0
Token = str | Callable[[], str]
Metadata = tuple[tuple[str, str], ...]


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
        """Raises ValueError for what does not fit together or is no PEM, OSError for a file that can't be read."""
        if bool(self.cert) != bool(self.key):
            raise ValueError("a client certificate and its key go together: one of cert and key is missing")
        if self.token and self.token_file:
            raise ValueError("a token and a file of it are both given: give one of them")
        if not self.tls and (self.ca or self.cert):
            raise ValueError("a CA or client certificate is given, but the URL isn't for TLS: write grpcs://host:port")
        if self.tls:
            self._check_files()
            self._stamp = stamp_of(*self._files)

    @property
    def _files(self) -> Sequence[str]:
        return [file for file in (self.ca, self.cert, self.key) if file]

    def _check_files(self) -> None:
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            if self.cert:
                context.load_cert_chain(self.cert, self.key)
        except ssl.SSLError as error:
            raise ValueError(f"{' or '.join(self._files)} holds no valid PEM: {error}") from error

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
            log.warning("the new TLS files can't be used, the old ones stay: %s", error)
        return self._version

    def _made(self) -> grpc.ChannelCredentials:
        ca, cert, key = (pathlib.Path(file).read_bytes() if file else None for file in (self.ca, self.cert, self.key))
        return grpc.ssl_channel_credentials(ca, key, cert)

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
        """What is sent with a call to `target`. Raises OSError where the token's file can't be read, and what its function
        raises."""
        if not (self.token or self.token_file) or not (self.tls or is_loopback(target.rpartition(":")[0])):
            return None
        if self.token_file:
            token = pathlib.Path(self.token_file).read_text()
        else:
            token = self.token() if callable(self.token) else self.token
        return (("authorization", f"Bearer {token.strip()}"),)


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
