"""The certificate, key and client CA of a process that listens, as PEM files that may be replaced while it runs.

They are looked at at each handshake. New ones count from the next handshake on, if they fit together; while they do not, as between
the writes of a certificate and its key, the old ones stay, and that is logged once for each state of the files. Certificates that
are expired, not valid yet or near their end are warned of at the start, with each new file, and once a day.
"""

from __future__ import annotations

import logging
import os
import pathlib
import ssl
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from durable_saga.pb.pem_files import load_ca, load_pair, trouble_of

log = logging.getLogger(__name__)
WARN_AGAIN_SECONDS = 86_400.0
Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Pems:
    """`client_ca` is empty where clients need no certificate."""

    cert: bytes
    key: bytes
    client_ca: bytes


def stamp_of(*files: str) -> Stamp:
    """Another one when a file was written or replaced. Raises OSError."""
    found = [os.stat(file) for file in files]
    return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)


class TlsFiles:
    """Raises ValueError or OSError when they can't be used at the start; later they are only logged."""

    def __init__(self, cert: str, key: str, client_ca: str = "") -> None:
        self._files = (cert, key, *([client_ca] if client_ca else []))
        self._lock = threading.Lock()
        self._stamp = stamp_of(*self._files)
        self.pems, self.context = self._read()
        self._warn()

    @property
    def wants_client_certificate(self) -> bool:
        return len(self._files) == 3

    def is_renewed(self) -> bool:
        """Look at the files, from any thread: whether `pems` and `context` are others than before."""
        with self._lock:
            try:
                stamp = stamp_of(*self._files)
                if stamp == self._stamp:
                    if time.monotonic() > self._warned + WARN_AGAIN_SECONDS:
                        self._warn()
                    return False
                self._stamp = stamp
                self.pems, self.context = self._read()
            except (OSError, ValueError) as error:
                log.warning("the new TLS files can't be used, so the old ones stay in use: %s", error)
                return False
            log.info("new TLS files from %s", self._files[0])
            self._warn()
        return True

    def _warn(self) -> None:
        """Of what holds no longer, not yet or not for long."""
        self._warned = time.monotonic()
        cert, _, *client_ca = self._files
        now = datetime.now(UTC)
        for told in (trouble_of(cert, now), *(trouble_of(file, now, any_will_do=True) for file in client_ca)):
            if told:
                log.warning("%s", told)

    def _read(self) -> tuple[Pems, ssl.SSLContext]:
        cert, key, *client_ca = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        load_pair(context, cert, key)
        if client_ca:
            load_ca(context, client_ca[0])
            context.verify_mode = ssl.CERT_REQUIRED
        texts = [pathlib.Path(file).read_bytes() for file in self._files]
        return Pems(texts[0], texts[1], texts[2] if client_ca else b""), context


class RenewedContext(ssl.SSLContext):
    """For a server of asyncio: each connection is wrapped by the context that the files make at that time."""

    files: TlsFiles

    @classmethod
    def of(cls, files: TlsFiles) -> RenewedContext:
        made = cls(ssl.PROTOCOL_TLS_SERVER)
        made.files = files
        return made

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        self.files.is_renewed()
        return self.files.context.wrap_bio(*args, **kwargs)
