"""Files of TLS that are empty, swapped, none, not readable or out of date: told with their names, before anything is served."""

from __future__ import annotations

import logging
import pathlib
import re
from collections.abc import Mapping

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from durable_saga_server.journal.cassandra.access import Access

from durable_saga.pb import tls_files
from durable_saga.pb.pem_files import validities
from durable_saga.pb.tls_files import TlsFiles
from durable_saga.transport.credentials import Credentials
from examples.demo.processes import Process
from tests.access.authority import Authority
from tests.access.test_commands import run

NAMES = ["localhost", "127.0.0.1"]
DAY = 86_400.0


@pytest.fixture
def ca(tmp_path: pathlib.Path) -> Authority:
    return Authority(tmp_path)


def odd_files(folder: pathlib.Path, ca: Authority) -> Mapping[str, tuple[str, str, str]]:
    """What is wrong: certificate and key, and what is told."""
    good, other = ca.issue("good", NAMES), ca.issue("other", NAMES)
    (empty := folder / "empty.pem").write_text("\n")
    (text := folder / "text.pem").write_text("hello")
    der = ca.certificate.public_bytes(serialization.Encoding.DER)
    (binary := folder / "binary.pem").write_bytes(der)
    key = serialization.load_pem_private_key(pathlib.Path(good.key).read_bytes(), None)
    sealed = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    (encrypted := folder / "encrypted.pem").write_bytes(sealed)
    (broken := folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n")
    (request := folder / "request.pem").write_text(
        "-----BEGIN CERTIFICATE REQUEST-----\nMII\n-----END CERTIFICATE REQUEST-----\n"
    )
    return {
        "empty": (str(empty), good.key, f"{empty} is empty: it must hold a certificate as PEM"),
        "empty key": (good.cert, str(empty), f"{empty} is empty: it must hold a private key as PEM"),
        "text": (str(text), good.key, f"{text} isn't a PEM file"),
        "DER": (str(binary), good.key, f"{binary} isn't a PEM file"),
        "swapped": (
            good.key,
            good.cert,
            f"{good.key} holds a private key instead of a certificate: are certificate and key swapped?",
        ),
        "a certificate twice": (good.cert, good.cert, f"{good.cert} holds a certificate instead of a private key: are"),
        "a request": (str(request), good.key, f"{request} holds a certificate request instead of a certificate"),
        "encrypted": (good.cert, str(encrypted), f"the key in {encrypted} is encrypted: give a key without a password"),
        "another's key": (good.cert, other.key, f"{other.key} isn't the key of the certificate in {good.cert}"),
        "broken": (str(broken), good.key, f"{broken} and {good.key} aren't the PEM files of a certificate and its key"),
        "a device": ("/dev/zero", good.key, "/dev/zero has more than 4194304 bytes: is it another file?"),
        "gone": (str(folder / "gone.pem"), good.key, f"No such file or directory: '{folder}/gone.pem'"),
        "a folder": (good.cert, str(folder), f"Is a directory: '{folder}'"),
    }


def test_files_that_are_none_are_told_by_name_on_every_side(tmp_path: pathlib.Path, ca: Authority) -> None:
    prefix = "DURABLE_SAGA_CASSANDRA_"
    for what, (cert, key, told) in odd_files(tmp_path, ca).items():
        variables = {f"{prefix}CA": ca.file, f"{prefix}CERT": cert, f"{prefix}KEY": key}
        for made in (
            lambda cert=cert, key=key: TlsFiles(cert, key),
            lambda cert=cert, key=key: Credentials(tls=True, ca=ca.file, cert=cert, key=key),
            lambda variables=variables: Access.from_environment(variables),
        ):
            with pytest.raises((ValueError, OSError)) as error:
                made()
            assert told in str(error.value), what


def test_a_ca_that_is_none_is_told_by_name_on_every_side(tmp_path: pathlib.Path, ca: Authority) -> None:
    good = ca.issue("good", NAMES)
    (empty := tmp_path / "empty.pem").write_text("")
    for file, told in ((str(empty), "is empty"), (good.key, "holds a private key"), (str(tmp_path), "Is a directory")):
        for made in (
            lambda file=file: TlsFiles(good.cert, good.key, file),
            lambda file=file: Credentials(tls=True, ca=file),
            lambda file=file: Access.from_environment({"DURABLE_SAGA_CASSANDRA_CA": file}),
        ):
            with pytest.raises((ValueError, OSError), match=told) as error:
                made()
            assert file in str(error.value)


def test_a_server_whose_key_is_not_that_of_its_certificate_does_not_start(tmp_path: pathlib.Path, ca: Authority) -> None:
    one, other = ca.issue("one", NAMES), ca.issue("other", NAMES)
    words = ["--journal", "memory:", "--listen", "127.0.0.1:0", "--tls-cert", one.cert, "--tls-key", other.key]
    told = run(tmp_path, "server", *words, code=1)
    assert told == f"Error: {other.key} isn't the key of the certificate in {one.cert}: they don't belong together\n"


# --- times ----------------------------------------------------------------------------------------------------------------


def test_a_certificate_that_is_expired_early_or_near_its_end_is_warned_of_with_file_and_date(
    tmp_path: pathlib.Path, ca: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    cases = {
        r"the certificate in .*/old.pem expired on \d{4}-\d\d-\d\d \d\d:\d\d UTC": ca.issue("old", NAMES, seconds=-60),
        r"the certificate in .*/early.pem is not valid before \d{4}-": ca.issue("early", NAMES, since=3_600, seconds=90 * DAY),
        r"the certificate in .*/soon.pem expires on \d{4}-": ca.issue("soon", NAMES, seconds=13.9 * DAY),
    }
    for told, pair in cases.items():
        caplog.clear()
        TlsFiles(pair.cert, pair.key)
        Credentials(tls=True, ca=ca.file, cert=pair.cert, key=pair.key)
        assert [one.levelname for one in caplog.records] == ["WARNING", "WARNING"]
        assert caplog.records[0].message == caplog.records[1].message
        assert re.match(told, caplog.records[0].message)
    caplog.clear()
    good = ca.issue("good", NAMES, seconds=15 * DAY)
    TlsFiles(good.cert, good.key, ca.file)
    assert caplog.records == []


def test_a_renewed_file_is_looked_at_too_and_one_that_stays_once_a_day(
    ca: Authority, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    pair = ca.issue("server", NAMES, seconds=90 * DAY)
    files = TlsFiles(pair.cert, pair.key)
    assert caplog.records == []
    ca.issue("server", NAMES, seconds=-60)
    assert files.is_renewed()
    assert [one.message for one in caplog.records] == [caplog.records[0].message]
    assert "expired on" in caplog.text
    assert not files.is_renewed()
    assert len(caplog.records) == 1
    monkeypatch.setattr(tls_files, "WARN_AGAIN_SECONDS", -1.0)  # a day later
    assert not files.is_renewed()
    assert len(caplog.records) == 2


def test_of_a_file_of_cas_one_that_holds_will_do(
    tmp_path: pathlib.Path, ca: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    good, old = ca.issue("good", NAMES, seconds=90 * DAY), ca.issue("old", ["old"], seconds=-60)
    (chain := tmp_path / "chain.pem").write_text(pathlib.Path(good.cert).read_text() + pathlib.Path(old.cert).read_text())
    (clients := tmp_path / "clients.pem").write_text(ca.text + pathlib.Path(old.cert).read_text())
    TlsFiles(good.cert, good.key, str(clients))
    assert caplog.records == []
    TlsFiles(str(chain), good.key)  # a chain holds as long as all of it
    assert f"a certificate in {chain} expired on" in caplog.text
    caplog.clear()
    TlsFiles(good.cert, good.key, old.cert)
    assert f"the certificate in {old.cert} expired on" in caplog.text


def test_the_command_says_so_in_its_log_and_serves(tmp_path: pathlib.Path, ca: Authority) -> None:
    old = ca.issue("old", NAMES, seconds=-60)
    words = ["server", "--journal", "memory:", "--listen", "127.0.0.1:0", "--tls-cert", old.cert, "--tls-key", old.key]
    server = Process("server", ["-m", "durable_saga", *words], tmp_path, "listening on")
    server.start({})
    assert server.stop() == 0
    said = "".join(file.read_text() for file in tmp_path.glob("*.log"))
    assert f"the certificate in {old.cert} expired on" in said


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # among those that the system trusts
def test_times_are_read_as_cryptography_reads_them(tmp_path: pathlib.Path, ca: Authority) -> None:
    """UTCTime and GeneralizedTime, which begins in 2050; and whatever the system trusts."""
    pairs = [ca.issue("late", NAMES, seconds=40 * 365 * DAY), ca.issue("now", NAMES)]
    pems = [pathlib.Path(pair.cert).read_bytes() for pair in pairs]
    system = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
    pems += [system.read_bytes()] if system.exists() else []
    for pem in pems:
        known = x509.load_pem_x509_certificates(pem)
        assert [(one.begins, one.ends) for one in validities(pem)] == [
            (one.not_valid_before_utc, one.not_valid_after_utc) for one in known
        ]
