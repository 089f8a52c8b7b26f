"""A cluster as it stands in a company: it wants a user, speaks TLS with certificates on both sides, and may not be changed."""

from __future__ import annotations

import asyncio
import logging
import os
import pathlib
import re
import statistics
import time
import uuid
import zipfile
from collections.abc import Iterator, Mapping

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from durable_saga_server.journal import Commit, Committed, Created, Head, JournalError, JournalUnavailable, Run, WeakSettings
from durable_saga_server.journal.cassandra import CassandraJournal
from durable_saga_server.journal.cassandra.access import PREFIX, Access
from durable_saga_server.journal.open import open_journal

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb.redaction import redact
from tests.cassandra_node import CassandraNode

pytestmark = pytest.mark.timeout(400)
LOGIN_SECONDS_MAX = 90.0
SETTINGS = """\
authenticator: PasswordAuthenticator
client_encryption_options:
  enabled: true
  require_client_auth: true
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory
  keystore: {folder}/node.pem
  truststore: {folder}/ca.pem
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("certificates")
    ours, theirs = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(folder / "ca.pem")
    theirs.cert_pem.write_to_path(folder / "other-ca.pem")
    node, client = ours.issue_cert("127.0.0.1"), ours.issue_cert("worker@shop.example")
    key = serialization.load_pem_private_key(node.private_key_pem.bytes(), None)
    pkcs8 = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "node.pem").write_bytes(pkcs8 + node.cert_chain_pems[0].bytes())  # Java reads no other form
    client.private_key_pem.write_to_path(folder / "client.key")
    client.cert_chain_pems[0].write_to_path(folder / "client.pem")
    return folder


@pytest.fixture(scope="module")
def secured(certificates: pathlib.Path) -> Iterator[str]:
    """host:port of a node of the periodic commit log that wants user, password and client certificate."""
    node = CassandraNode("periodic", settings=SETTINGS.format(folder=certificates))
    try:
        node.start()
        yield node.address
    finally:
        node.stop()


def environment(certificates: pathlib.Path, **changes: str | None) -> dict[str, str]:
    wanted: dict[str, str | None] = {
        "USER": "cassandra", "PASSWORD": "cassandra", "CA": str(certificates / "ca.pem"),
        "CERT": str(certificates / "client.pem"), "KEY": str(certificates / "client.key"), **changes,
    }  # fmt: skip
    return {PREFIX + name: value for name, value in wanted.items() if value is not None}


async def opened(
    address: str, given: Mapping[str, str], *, durability: str = "replicas", strict: bool = False
) -> CassandraJournal:
    """Waits for the node to have made its first user."""
    until = time.monotonic() + LOGIN_SECONDS_MAX
    while True:
        journal = CassandraJournal(
            [address], f"k_{uuid.uuid4().hex[:8]}", strict=strict, replication_factor=1, durability=durability,
            access=Access.from_environment(given),
        )  # fmt: skip
        try:
            await journal.initialize()
        except JournalError as error:
            if time.monotonic() > until or given.get(PREFIX + "PASSWORD") != "cassandra" or isinstance(error, WeakSettings):
                raise
            await asyncio.sleep(1)
        else:
            return journal


def started(saga: str) -> tuple[Head, h.Event]:
    now_ms = time.time_ns() // 1_000_000
    head = Head(Run("n", saga), os.urandom(16), "t", h.RUNNING, "w", 1, 1, os.urandom(16), now_ms, now_ms)
    return head, h.Event(seq=0, time_ms=now_ms, saga_started=h.SagaStarted(saga_type="t"))


@pytest.mark.cassandra
def test_a_journal_works_with_user_password_and_certificates_on_both_sides(secured: str, certificates: pathlib.Path) -> None:
    async def scenario() -> None:
        journal = await opened(secured, environment(certificates))
        head, event = started("s")
        assert isinstance(await journal.runs.create(head, event), Created)
        assert (await journal.runs.head(head.run)) == head
        await journal.close()

    asyncio.run(scenario())


@pytest.mark.cassandra
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"PASSWORD": "wrong"}, "refused the login"),
        ({"USER": None, "PASSWORD": None}, "give a user: set DURABLE_SAGA_CASSANDRA_USER"),
        ({"CA": "other-ca.pem"}, "no TLS with Cassandra"),
        ({"CERT": None, "KEY": None}, "no TLS with Cassandra"),
        ({"CA": None, "CERT": None, "KEY": None}, "if the cluster only speaks TLS, set DURABLE_SAGA_CASSANDRA_CA"),
    ],
)
def test_what_is_refused_says_which_variable_to_look_at(
    secured: str, certificates: pathlib.Path, changes: dict[str, str | None], words: str
) -> None:
    if changes.get("CA") is not None:
        changes = {**changes, "CA": str(certificates / str(changes["CA"]))}

    async def scenario() -> str:
        await (await opened(secured, environment(certificates))).close()
        access = Access.from_environment(environment(certificates, **changes))
        with pytest.raises(JournalError) as refused:
            await CassandraJournal([secured], "k", strict=False, replication_factor=1, access=access).initialize()
        assert isinstance(refused.value, JournalUnavailable) == ("speaks TLS" in words), "waiting does not help with the others"
        return str(refused.value)

    said = asyncio.run(scenario())
    assert words in said
    assert "wrong" not in said


@pytest.mark.cassandra
def test_a_node_of_another_name_is_refused_unless_names_are_left_unchecked(secured: str, certificates: pathlib.Path) -> None:
    address = "localhost:" + secured.partition(":")[2]

    async def scenario() -> None:
        await (await opened(secured, environment(certificates))).close()
        with pytest.raises(JournalError):
            await CassandraJournal(
                [address.replace("localhost", "127.0.0.2")], "k", strict=False, replication_factor=1,
                access=Access.from_environment(environment(certificates)),
            ).initialize()  # fmt: skip
        await (await opened(secured, environment(certificates, HOST_NAMES="unchecked"))).close()

    asyncio.run(scenario())


@pytest.mark.cassandra
def test_a_periodic_commit_log_is_refused_until_it_is_asked_for_by_name(
    secured: str, certificates: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        with pytest.raises(WeakSettings, match="lose power") as refused:
            await opened(secured, environment(certificates), durability="synced", strict=True)
        assert "--no-strict" in str(refused.value)
        with pytest.raises(WeakSettings) as still:
            await opened(secured, environment(certificates), strict=True)
        assert "commitlog" not in str(still.value), "only the replicas of this one node are weak now"
        with caplog.at_level(logging.WARNING):
            await (await opened(secured, environment(certificates))).close()
        assert "what was acknowledged within its sync period is lost when all replicas lose power in it" in caplog.text

    asyncio.run(scenario())


@pytest.mark.cassandra
def test_a_commit_of_some_kilobytes_does_not_wait_for_a_delayed_acknowledgement(cassandra: str) -> None:
    async def scenario() -> tuple[float, float]:
        journal = CassandraJournal([cassandra], f"k_{uuid.uuid4().hex[:8]}", strict=False, replication_factor=1)
        await journal.initialize()
        took: dict[int, list[float]] = {150: [], 5_000: []}
        head, event = started("s")
        await journal.runs.create(head, event)
        for seq in range(1, 61):
            size = 5_000 if seq % 2 else 150
            stored = h.Event(seq=seq, time_ms=event.time_ms + seq)
            stored.step_completed.CopyFrom(h.StepCompleted(call="1", attempt=1, result=p.Payload(data=os.urandom(size))))
            now_ms = event.time_ms + seq
            commit = Commit(head.run, head.incarnation, 1, os.urandom(16), seq, [stored], h.RUNNING, now_ms)
            begun = time.perf_counter()
            assert isinstance((await journal.runs.commit_many([commit]))[0], Committed)
            took[size].append(time.perf_counter() - begun)
        await journal.close()
        return statistics.median(took[150]), statistics.median(took[5_000])

    small, large = asyncio.run(scenario())
    assert large < small + 0.03, f"150 bytes took {small * 1000:.1f} ms, 5 kB {large * 1000:.1f}"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"USER": "ann"}, "go together"),
        ({"PASSWORD": "x"}, "go together"),
        ({"USER": "ann", "PASSWORD": "x", "PASSWORD_FILE": "y"}, "both set"),
        ({"CERT": "x"}, "is for TLS"),
        ({"TLS": "yes"}, "on or off"),
        ({"TLS": "on", "CERT": "x"}, "go together"),
        ({"TLS": "on", "HOST_NAMES": "no"}, "checked or unchecked"),
        ({"BUNDLE": "b.zip", "CA": "x"}, "its own certificates"),
        ({"PASSWRD": "x"}, "isn't one of"),
    ],
)
def test_variables_that_do_not_fit_together_are_named(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Access.from_environment({PREFIX + name: value for name, value in given.items()})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"hello", "isn't a zip file"),
        ({"readme.txt": ""}, "isn't a secure-connect bundle: it holds no config.json"),
        ({"config.json": "{}", "ca.crt": "", "cert": ""}, "it holds no key"),
        (None, "No such file"),
    ],
)
def test_a_bundle_that_is_none_is_told_by_name(
    tmp_path: pathlib.Path, content: bytes | dict[str, str] | None, told: str
) -> None:
    file = tmp_path / "bundle.zip"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        zipped(file, content)
    with pytest.raises((ValueError, OSError), match=told) as error:
        Access.from_environment({PREFIX + "BUNDLE": str(file)})
    assert str(file) in str(error.value)


@pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated")  # by the driver
def test_a_bundle_whose_service_is_not_there_is_waited_for_and_one_of_odd_files_is_not(
    tmp_path: pathlib.Path, certificates: pathlib.Path
) -> None:
    files = {"ca.crt": "ca.pem", "cert": "client.pem", "key": "client.key"}
    content = {name: (certificates / file).read_text() for name, file in files.items()}
    content["config.json"] = '{"host": "127.0.0.1", "port": 1}'
    file = tmp_path / "bundle.zip"

    async def refused() -> JournalError:
        journal = CassandraJournal(["c1"], "shop", access=Access.from_environment({PREFIX + "BUNDLE": str(file)}))
        with pytest.raises(JournalError, match=re.escape(str(file))) as error:
            await journal.initialize()
        return error.value

    zipped(file, content)
    assert isinstance(asyncio.run(refused()), JournalUnavailable)
    zipped(file, {**content, "cert": "hello"})
    assert not isinstance(asyncio.run(refused()), JournalUnavailable)
    zipped(file, {**content, "config.json": "hello"})
    assert not isinstance(asyncio.run(refused()), JournalUnavailable)


def zipped(file: pathlib.Path, content: dict[str, str]) -> None:
    with zipfile.ZipFile(file, "w") as bundle:
        for name, text in content.items():
            bundle.writestr(name, text)


def test_a_password_comes_from_a_file_and_shows_nowhere(tmp_path: pathlib.Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    access = Access.from_environment({PREFIX + "USER": "ann", PREFIX + "PASSWORD_FILE": str(tmp_path / "password")})
    assert access.password == "hunter2"
    assert "hunter2" not in repr(access)


@pytest.mark.parametrize(
    "url",
    [
        "cassandra://ann:hunter2@c1/shop",
        "cassandra://c1/shop?ssl=true",
        "cassandra://c1/shop?replication_factor=three",
        "cassandra://c1/shop?datacenter=a&datacenter=b",
        "cassandra://c1/shop?durability=none",
        "cassandra://c1/shop?password=hunter2",
        "sqlite:///orders.db?mode=ro",
    ],
)
def test_a_url_with_a_secret_or_an_unknown_option_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match=r".+") as refused:
        open_journal(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cassandra://ann:pa@c1,c2/shop", "cassandra://…@c1,c2/shop"),
        ("no secret: //here", "no secret: …"),
        ("see https://example.com/a@b", "see https://example.com/a@b"),
        ("connect(password='x y')", "connect(password=…)"),
        ("DB_PASSWORD=abc&x=1", "DB_PASSWORD=…&x=1"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer …"),
        ("api-key: 12345, next", "api-key: …, next"),
    ],
)
def test_redact_hides_what_is_secret_and_nothing_else(text: str, shown: str) -> None:
    assert redact(text) == shown
