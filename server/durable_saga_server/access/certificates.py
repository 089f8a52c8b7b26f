"""The identity in a client certificate: its SANs, and until when it holds. The handshake has verified it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from durable_saga.pb.limits import WHO_CHARACTERS_MAX

log = logging.getLogger(__name__)
CERTIFICATES_KNOWN_MAX = 1_000
PEM = "x509_pem_cert"


class Certificates:
    """Reads each certificate once. Needs the package cryptography: ImportError when it is made without."""

    def __init__(self) -> None:
        from cryptography import x509

        self._x509: Any = x509
        self._known: dict[bytes, tuple[Sequence[str], int]] = {}

    def read(self, context: Mapping[str, Sequence[bytes]]) -> tuple[Sequence[str], int] | None:
        """Of gRPC's auth context: the names, URIs first, then e-mail addresses, then DNS names, and the end in Unix
        milliseconds. None: there is no certificate, or none with such a name."""
        pem = next(iter(context.get(PEM, ())), b"")
        if not pem:
            return None
        if pem not in self._known:
            if len(self._known) >= CERTIFICATES_KNOWN_MAX:
                del self._known[next(iter(self._known))]
            self._known[pem] = self._read(pem)
        found = self._known[pem]
        return found if found[0] else None

    def _read(self, pem: bytes) -> tuple[Sequence[str], int]:
        x509 = self._x509
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            sans = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError) as error:
            log.warning("a client certificate holds no usable name: %s", error)
            return (), 0
        kinds = (x509.UniformResourceIdentifier, x509.RFC822Name, x509.DNSName)
        names = [str(one.value) for kind in kinds for one in sans if isinstance(one, kind)]
        good = [name for name in names if 1 <= len(name) <= WHO_CHARACTERS_MAX and name.isprintable()]
        return good, int(certificate.not_valid_after_utc.timestamp() * 1000)
