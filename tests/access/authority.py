"""A private CA, as a company has one: certificates of any name and time, in files as servers and clients are given them."""

from __future__ import annotations

import datetime
import ipaddress
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """Paths of a certificate and its key."""

    cert: str
    key: str


def _san(name: str) -> x509.GeneralName:
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    if "@" in name:
        return x509.RFC822Name(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Authority:
    """`file` is its own certificate."""

    def __init__(self, folder: pathlib.Path, name: str = "ca") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        built = (
            x509.CertificateBuilder().subject_name(self._name).issuer_name(self._name).public_key(self._key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - DAY).not_valid_after(now + 3650 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        )  # fmt: skip
        self.certificate = built.sign(self._key, hashes.SHA256())
        self.file = str(folder / f"{name}.pem")
        self.text = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        pathlib.Path(self.file).write_text(self.text)

    def issue(
        self, file: str, names: Sequence[str], *, seconds: float = 86_400, since: float = -86_400, client: bool = False
    ) -> Pair:
        """`names` are its SANs, in their order; valid from `since` to `seconds` from now. An existing file is replaced."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        begins, ends = (now + datetime.timedelta(seconds=one) for one in (since, seconds))
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        built = (
            x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(self._name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins).not_valid_after(ends)
            .add_extension(x509.SubjectAlternativeName([_san(name) for name in names]), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )  # fmt: skip
        certificate = built.sign(self._key, hashes.SHA256())
        pair = Pair(str(self._folder / f"{file}.pem"), str(self._folder / f"{file}-key.pem"))
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        for path, content in ((pair.key, private), (pair.cert, certificate.public_bytes(serialization.Encoding.PEM))):
            new = pathlib.Path(f"{path}.new")
            new.write_bytes(content)
            new.replace(path)
        return pair
