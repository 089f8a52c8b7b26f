"""A connection that can't come about is told with its reason, at once where waiting does not help: real handshakes."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import logging
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from durable_saga import Client, Worker, connect
from durable_saga.errors import NotAllowed, Unavailable
from durable_saga.pb.tls_files import TlsFiles
from durable_saga.transport.credentials import credentials_of
from durable_saga.transport.handshake import why_not
from tests.access.authority import Authority, Pair
from tests.access.standing import pay, standing
from tests.access.test_commands import run

NAMES = ["localhost", "127.0.0.1"]


@pytest.fixture
def never_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who tries again, does so until the test is given up."""
    monkeypatch.setattr("durable_saga.transport.transport.RETRY_SECONDS_MAX", 3_600.0)


async def refusal(client: Client) -> str:
    async with client:
        with pytest.raises(Unavailable) as error:
            await client.statistics()
    return str(error.value)


def tls(pair: Pair, client_ca: str = "") -> TlsFiles:
    return TlsFiles(pair.cert, pair.key, client_ca)


@pytest.mark.usefixtures("never_again")
def test_a_certificate_that_does_not_hold_is_told_at_once_and_why(tmp_path: pathlib.Path) -> None:
    ca, other = Authority(tmp_path), Authority(tmp_path, "other")
    servers = {
        "the certificate of {}, or of its CA, has expired": ca.issue("expired", NAMES, seconds=-60),
        "the certificate of {} is not valid yet, by the clock of this machine": ca.issue("early", NAMES, since=3_600),
        "the certificate of {} is not signed by the CA in " + ca.file: other.issue("foreign", NAMES),
        "the certificate of {} is for another name: it does not hold 127.0.0.1": ca.issue("elsewhere", ["sagas.example"]),
    }

    async def scenario() -> None:
        for told, pair in servers.items():
            async with standing(tls=tls(pair)) as stand:
                assert await refusal(connect(f"grpcs://{stand.at}", ca=ca.file)) == told.format(stand.at)
        async with standing(tls=tls(ca.issue("good", NAMES))) as stand:
            told = await refusal(connect(f"grpcs://{stand.at}"))
            assert told == f"the certificate of {stand.at} is not signed by one of the system's CAs; ca= or --ca gives another"

    asyncio.run(scenario())


@pytest.mark.usefixtures("never_again")
def test_one_side_in_the_clear_and_the_other_not_is_told_at_once(tmp_path: pathlib.Path) -> None:
    ca = Authority(tmp_path)
    pair = ca.issue("server", NAMES)

    async def scenario() -> None:
        for client_ca in ("", ca.file):
            async with standing(tls=tls(pair, client_ca)) as stand:
                assert (await refusal(connect(stand.at))).startswith(f"{stand.at} speaks TLS: write grpcs://{stand.at}, and")
        async with standing() as stand:
            told = await refusal(connect(f"grpcs://{stand.at}", ca=ca.file))
            assert told.startswith(f"{stand.at} does not speak TLS: write {stand.at} without grpcs://")
        with web_server() as at:
            assert await refusal(connect(at)) == f"{at} is a web server and isn't a history server: is the port right?"

    asyncio.run(scenario())


@contextlib.contextmanager
def web_server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_client_certificate_that_is_missing_expired_or_foreign_is_named(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable_saga.transport.transport.RETRY_SECONDS_MAX", 0.5)
    ca, other = Authority(tmp_path), Authority(tmp_path, "other")
    old = ca.issue("old", ["spiffe://shop"], seconds=-60, client=True)
    foreign = other.issue("foreign", ["spiffe://shop"], client=True)

    async def scenario() -> None:
        async with standing(tls=tls(ca.issue("server", NAMES), ca.file)) as stand:
            url = f"grpcs://{stand.at}"
            assert "does it want a client certificate (cert= and key=" in await refusal(connect(url, ca=ca.file))
            told = await refusal(connect(url, ca=ca.file, cert=old.cert, key=old.key))
            assert f"refuses the connection: the certificate in {old.cert} expired on 20" in told
            told = await refusal(connect(url, ca=ca.file, cert=foreign.cert, key=foreign.key))
            assert f"does it know the CA of the client certificate in {foreign.cert}?" in told

    asyncio.run(scenario())


def test_a_client_that_was_served_before_goes_on_trying(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's certificate may be renewed while it does: a call of then is late, and does not fail."""
    monkeypatch.setattr("durable_saga.transport.credentials.LOOK_SECONDS", 0.0)
    ca, other = Authority(tmp_path), Authority(tmp_path, "other")
    pair = ca.issue("server", NAMES)
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(ca.text)

    async def scenario() -> None:
        async with standing(tls=tls(pair)) as stand, connect(f"grpcs://{stand.at}", ca=str(trusted)) as client:
            await client.statistics()
            trusted.write_text(other.text)  # and the client makes its connections anew
            asking = asyncio.create_task(client.statistics())
            done, _ = await asyncio.wait([asking], timeout=1.5)
            assert not done
            other.issue("server", NAMES)
            await asking

    asyncio.run(scenario())


def test_a_worker_and_a_health_check_tell_the_reason_too(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    ca, other = Authority(tmp_path), Authority(tmp_path, "other")
    caplog.set_level(logging.WARNING)

    async def scenario() -> None:
        async with standing(tls=tls(other.issue("server", NAMES))) as stand:
            told = f"the certificate of {stand.at} is not signed by the CA in {ca.file}"
            async with connect(f"grpcs://{stand.at}", ca=ca.file) as client, Worker(client, sagas=[pay]):
                while f"no stream to {stand.at} ({told})" not in caplog.text:
                    await asyncio.sleep(0.05)
            said = await asyncio.to_thread(run, tmp_path, "health", "--url", f"grpcs://{stand.at}", "--ca", ca.file, code=1)
            assert f"Error: {stand.at} could not be asked: {told}" in said

    asyncio.run(scenario())


def test_where_tls_is_not_at_fault_nothing_is_made_up(tmp_path: pathlib.Path) -> None:
    ca = Authority(tmp_path)
    pair, client = ca.issue("server", NAMES), ca.issue("client", ["spiffe://shop"], client=True)
    known = credentials_of(tls=True, ca=ca.file, cert=client.cert, key=client.key)
    open_to_all = credentials_of(tls=True, ca=ca.file)

    async def closes_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def scenario() -> None:
        async with standing(tls=tls(pair)) as stand:
            assert await why_not(stand.at, open_to_all) is None
        async with standing(tls=tls(pair, ca.file)) as stand:
            assert await why_not(stand.at, known) is None
        async with standing() as stand:
            assert await why_not(stand.at, credentials_of(tls=False)) is None
        assert await why_not(stand.at, open_to_all) is None  # nobody is there any more
        assert await why_not("no-such-host.invalid:7233", open_to_all) is None
        proxy = await asyncio.start_server(closes_at_once, "127.0.0.1", 0)
        at = f"127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        assert await why_not(at, open_to_all) is None
        assert await why_not(at, credentials_of(tls=False)) is None
        proxy.close()
        await proxy.wait_closed()

    asyncio.run(scenario())


def test_a_company_s_ca_among_those_of_the_system_is_trusted(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", ca.file)

    async def scenario() -> None:
        async with standing(tls=tls(ca.issue("server", NAMES))) as stand, connect(f"grpcs://{stand.at}") as client:
            await client.statistics()

    asyncio.run(scenario())


# --- tokens ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"dst_1_abc\ndst_2_def\n", "character 10 is a newline; a token is one line of ASCII without spaces"),
        (b"dst_1\x1b[0m", "character 6 is U+001B"),
        (b"dst_1\0abc", "character 6 is a zero byte"),
        (b"Bearer dst_1_abc", "character 7 is a space"),
        ("dst_ü".encode(), "character 5 is U+00FC"),
        ("dst_1".encode("utf-16"), "the file isn't text in UTF-8"),
        (b" \n", "is empty: a token is expected"),
        (b"", "is empty: a token is expected"),
        (b"x" * 7_501, "has 7501 characters, at most 7500 are sent (BEARER_CHARACTERS_MAX)"),
    ],
)
def test_a_token_that_can_t_be_sent_is_told_with_its_file_and_place(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, content: bytes, told: str
) -> None:
    (file := tmp_path / "token").write_bytes(content)
    monkeypatch.setenv("DURABLE_SAGA_TOKEN_FILE", str(file))

    async def scenario() -> None:
        async with standing(guarded=True) as stand, connect(stand.at) as client:
            with pytest.raises(NotAllowed) as error:
                await client.statistics()
            assert f"there is no token to send: the token in {file}" in str(error.value)
            assert told in str(error.value)
            assert "dst_" not in str(error.value)

    asyncio.run(scenario())


def test_a_token_file_is_read_with_what_editors_put_around_it(tmp_path: pathlib.Path) -> None:
    (file := tmp_path / "token").write_bytes(b"\xef\xbb\xbfdst_1_abc\r\n\n")
    credentials = credentials_of(tls=False, environment={"DURABLE_SAGA_TOKEN_FILE": str(file)})
    assert credentials.metadata("127.0.0.1:7233") == (("authorization", "Bearer dst_1_abc"),)


def test_a_token_file_that_is_gone_or_a_folder_is_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(file: pathlib.Path) -> None:
        monkeypatch.setenv("DURABLE_SAGA_TOKEN_FILE", str(file))
        async with connect("127.0.0.1:1") as client:
            with pytest.raises(NotAllowed, match="there is no token to send") as error:
                await client.statistics()
            assert str(file) in str(error.value)

    asyncio.run(scenario(pathlib.Path("/dev/zero")))
    asyncio.run(scenario(tmp_path / "gone"))
    asyncio.run(scenario(tmp_path))


def test_a_token_of_the_environment_or_an_argument_is_checked_when_the_client_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="the token can't be sent: character 2 is a newline"):
        connect("localhost:7233", token="a\nb")
    with pytest.raises(ValueError, match="the token is empty"):
        connect("localhost:7233", token=" ")
    monkeypatch.setenv("DURABLE_SAGA_TOKEN", "a\nb")
    with pytest.raises(ValueError, match=r"character 2 is a newline.*\(set: DURABLE_SAGA_TOKEN\)"):
        connect("localhost:7233")
    monkeypatch.setenv("DURABLE_SAGA_TOKEN", "dst_1_abc\n")
    assert connect("localhost:7233").transport.credentials.metadata("localhost:7233") == (
        ("authorization", "Bearer dst_1_abc"),
    )


@pytest.mark.parametrize(("returned", "told"), [("a b", "character 2 is a space"), (None, "must be text, not NoneType")])
def test_what_a_token_function_returns_is_checked_too(returned: Any, told: str) -> None:
    async def scenario() -> None:
        async with connect("127.0.0.1:1", token=lambda: returned) as client:
            with pytest.raises(NotAllowed, match=f"what the token's function returns .*{told}"):
                await client.statistics()

    asyncio.run(scenario())
