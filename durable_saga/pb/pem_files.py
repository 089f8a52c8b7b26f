"""What is wrong with a PEM file, in a sentence that names it; and until when its certificates hold.

OpenSSL says neither which file it means nor what is in it, and asks at the terminal for the password of a key.
"""

from __future__ import annotations

import base64
import binascii
import pathlib
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SOON = timedelta(days=14)
"""A certificate that ends within this is warned of."""
PEM_BYTES_MAX = 4 * 1024 * 1024
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_CERTIFICATES = (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE")
_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18


@dataclass(frozen=True, slots=True)
class Validity:
    """Of one certificate."""

    begins: datetime
    ends: datetime


def read_bounded(file: str, bytes_max: int) -> bytes:
    """Raises ValueError for a file that is larger, such as a device, OSError for one that can't be read; both name it."""
    with pathlib.Path(file).open("rb") as opened:
        content = opened.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise ValueError(f"{file} has more than {bytes_max} bytes: is it another file?")
    return content


def read_pem(file: str, what: str) -> bytes:
    """The content of a file that is to hold a "certificate" or a "private key". Raises ValueError for what is none, OSError for a
    file that can't be read; both name the file."""
    content = read_bounded(file, PEM_BYTES_MAX)
    kinds = [kind for kind, _ in _BLOCK.findall(content)]
    if not content.strip():
        raise ValueError(f"{file} is empty: it must hold a {what} as PEM")
    if not kinds:
        raise ValueError(f"{file} isn't a PEM file: it must hold a {what}, from a line -----BEGIN … to a line -----END …")
    keys = [kind for kind in kinds if kind.endswith(b"PRIVATE KEY")]
    certificates = [kind for kind in kinds if kind in _CERTIFICATES]
    if what == "certificate" and not certificates:
        told = "a private key" if keys else f"a {_shown(kinds[0])}"
        raise ValueError(f"{file} holds {told} instead of a certificate" + (": are certificate and key swapped?" if keys else ""))
    if what == "private key" and not keys:
        told = "a certificate" if certificates else f"a {_shown(kinds[0])}"
        swapped = ": are certificate and key swapped?" if certificates else ""
        raise ValueError(f"{file} holds {told} instead of a private key{swapped}")
    return content


def load_pair(context: ssl.SSLContext, cert: str, key: str) -> None:
    """A certificate with its key into `context`. Raises ValueError and OSError, as `read_pem()`."""
    read_pem(cert, "certificate")
    read_pem(key, "private key")
    try:
        context.load_cert_chain(cert, key, password=lambda: _no_password(key))
    except ssl.SSLError as error:
        if "MISMATCH" in str(error):
            raise ValueError(f"{key} isn't the key of the certificate in {cert}: they don't belong together") from error
        raise ValueError(f"{cert} and {key} aren't the PEM files of a certificate and its key: {error}") from error


def context_of(ca: str) -> ssl.SSLContext:
    """Of a side that connects: it believes the CAs in a file, or without one those of the system. Raises as `read_pem()`."""
    if not ca:
        return ssl.create_default_context()
    read_pem(ca, "certificate")
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise ValueError(f"{ca} isn't the PEM file of a CA: {error}") from error


def load_ca(context: ssl.SSLContext, file: str) -> None:
    """The CAs of a file into `context`. Raises ValueError and OSError, as `read_pem()`."""
    read_pem(file, "certificate")
    try:
        context.load_verify_locations(file)
    except ssl.SSLError as error:
        raise ValueError(f"{file} isn't the PEM file of a CA: {error}") from error


def trouble_of(file: str, now: datetime, *, soon: timedelta = SOON, any_will_do: bool = False) -> str:
    """What is to be said of the times of a chain of certificates: that one is expired, is not valid yet or ends `soon`; or
    "". Of a file of CAs `any_will_do`: only what all of them have is said. Raises OSError."""
    found = [_trouble(one, now, soon) for one in validities(pathlib.Path(file).read_bytes())]
    told = [one for one in found if one]
    if not told or (any_will_do and len(told) < len(found)):
        return ""
    of = "the certificate" if len(found) == 1 else "a certificate"
    return f"{of} in {file} {told[0]}"


def validities(pem: bytes) -> Sequence[Validity]:
    """Of the certificates in a PEM text that can be read."""
    found = []
    for kind, body in _BLOCK.findall(pem):
        if kind in _CERTIFICATES:
            try:
                found.append(_validity(base64.b64decode(body)))
            except (IndexError, ValueError, binascii.Error):  # OpenSSL tells what is wrong with it
                continue
    return found


def _trouble(one: Validity, now: datetime, soon: timedelta) -> str:
    if one.ends <= now:
        return f"expired on {one.ends:%Y-%m-%d %H:%M} UTC, so connections with it are refused"
    if one.begins > now:
        return f"is not valid before {one.begins:%Y-%m-%d %H:%M} UTC, so connections with it are refused"
    if one.ends <= now + soon:
        return f"expires on {one.ends:%Y-%m-%d %H:%M} UTC: replace it before then"
    return ""


def _shown(kind: bytes) -> str:
    return kind.decode().lower()


def _no_password(key: str) -> str:
    raise ValueError(f"the key in {key} is encrypted: give a key without a password, in a file that only this user may read")


# --- the times of a certificate (RFC 5280, 4.1) ----------------------------------------------------------------------------


def _validity(der: bytes) -> Validity:
    """Certificate and TBSCertificate are opened; version (which may be left out), serial number, algorithm and issuer skipped.
    Raises ValueError and IndexError."""
    certificate, _ = _element(der, 0)
    body, _ = _element(certificate[1], 0)
    fields: list[tuple[int, bytes]] = []
    at = 0
    while len(fields) < 4:
        field, at = _element(body[1], at)
        if field[0] != _VERSION:
            fields.append(field)
    times = fields[3][1]
    begins, at = _element(times, 0)
    ends, _ = _element(times, at)
    return Validity(_time(begins), _time(ends))


def _element(der: bytes, at: int) -> tuple[tuple[int, bytes], int]:
    """Tag and content of what stands at `at`, and where the next begins."""
    tag, length = der[at], der[at + 1]
    at += 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(der[at : at + size], "big")
        at += size
    content = der[at : at + length]
    if len(content) != length:
        raise ValueError("the certificate is cut off")
    return (tag, content), at + length


def _time(element: tuple[int, bytes]) -> datetime:
    tag, content = element
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("the dates of the certificate can't be read")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
