"""TLS on the wire: real handshakes with the certificates of a CA of our own, good, expired, foreign and renewed."""

from __future__ import annotations

import asyncio
import http.client
import logging
import pathlib
import ssl
import subprocess
import sys
from typing import Any

import pytest
from durable_saga_server.incoming import grpc_server
from durable_saga_server.incoming.serving import serve

from durable_saga import Client, Worker, connect
from durable_saga.errors import Unavailable
from durable_saga.page.serving import Door, PageServer, bind
from durable_saga.pb.tls_files import TlsFiles
from tests.access.authority import Authority, Pair
from tests.access.standing import pay, standing

NAMES = ["localhost", "127.0.0.1"]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client does not try for half a minute what will not go."""
    monkeypatch.setattr("durable_saga.transport.transport.RETRY_SECONDS_MAX", 0.5)
    monkeypatch.setattr("durable_saga.transport.credentials.LOOK_SECONDS", 0.0)


async def ask(client: Client) -> None:
    await client.statistics()


async def refusal(client: Client) -> str:
    with pytest.raises(Unavailable) as error:
        await ask(client)
    return str(error.value)


def test_a_saga_runs_over_tls_and_mutual_tls(tmp_path: pathlib.Path) -> None:
    ca = Authority(tmp_path)
    server, worker = ca.issue("server", NAMES), ca.issue("worker", ["spiffe://shop/worker"], client=True)

    async def scenario(client_ca: str, cert: str, key: str) -> int:
        tls = TlsFiles(server.cert, server.key, client_ca)
        async with (
            standing(tls=tls) as stand,
            connect(f"grpcs://{stand.at}", ca=ca.file, cert=cert, key=key) as client,
            Worker(client, sagas=[pay]),
        ):
            await asyncio.sleep(1.7)  # a sign of life too goes over TLS
            return await (await client.start(pay, 7)).result(timeout=20)

    assert asyncio.run(scenario("", "", "")) == 7
    assert asyncio.run(scenario(ca.file, worker.cert, worker.key)) == 7


def test_certificates_that_are_expired_foreign_or_of_another_name_are_refused_on_both_sides(tmp_path: pathlib.Path) -> None:
    ca, other = Authority(tmp_path), Authority(tmp_path, "other")
    good, client = ca.issue("good", NAMES), ca.issue("client", ["spiffe://shop"], client=True)
    servers = {
        "has expired": ca.issue("expired", NAMES, seconds=-60),
        "is not valid yet": ca.issue("early", NAMES, since=3_600),
        "is not signed by the CA in": other.issue("foreign", NAMES),
        "is for another name": ca.issue("elsewhere", ["sagas.example"]),
    }
    clients = {
        "expired": ca.issue("old", ["spiffe://shop"], seconds=-60, client=True),
        "of another CA": other.issue("unknown", ["spiffe://shop"], client=True),
        "none": Pair("", ""),
    }

    async def scenario() -> None:
        for what, pair in servers.items():
            tls = TlsFiles(pair.cert, pair.key)
            async with standing(tls=tls) as stand, connect(f"grpcs://{stand.at}", ca=ca.file) as one:
                assert what in await refusal(one)
        async with standing(tls=TlsFiles(good.cert, good.key, ca.file)) as stand:
            for what, pair in clients.items():
                async with connect(f"grpcs://{stand.at}", ca=ca.file, cert=pair.cert, key=pair.key) as one:
                    assert await refusal(one), what
            async with connect(stand.at) as one:
                with pytest.raises(Unavailable):
                    await ask(one)  # in the clear
            async with connect(f"grpcs://{stand.at}", ca=ca.file, cert=client.cert, key=client.key) as one:
                await ask(one)

    asyncio.run(scenario())


def test_who_says_nothing_to_the_port_is_let_go(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the end of a handshake there is no connection that a keep-alive could watch."""
    name = "grpc.server_handshake_timeout_ms"
    assert dict(grpc_server._OPTIONS)[name] == 20_000
    shorter = [(option, 500 if option == name else value) for option, value in grpc_server._OPTIONS]
    monkeypatch.setattr(grpc_server, "_OPTIONS", shorter)
    ca = Authority(tmp_path)
    pair = ca.issue("server", NAMES)

    async def scenario(tls: TlsFiles | None) -> None:
        async with (
            standing(tls=tls) as stand,
            connect(f"grpcs://{stand.at}" if tls else stand.at, ca=ca.file if tls else None) as one,
        ):
            await ask(one)
            silent = [await asyncio.open_connection("127.0.0.1", stand.server.port) for _ in range(100)]
            for reader, writer in silent:
                async with asyncio.timeout(20):
                    while await reader.read(100):  # a server in the clear says its settings first
                        pass
                writer.close()
            await ask(one)

    asyncio.run(scenario(None))
    asyncio.run(scenario(TlsFiles(pair.cert, pair.key)))


def test_renewed_certificates_of_both_sides_are_taken_without_a_restart(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Authority(tmp_path, "first"), Authority(tmp_path, "second")
    trusted = tmp_path / "trusted.pem"  # of both sides
    trusted.write_text(first.text)
    server, client = first.issue("server", NAMES), first.issue("client", ["spiffe://shop"], client=True)
    key = pathlib.Path(server.key)

    async def scenario() -> None:
        async with standing(tls=TlsFiles(server.cert, server.key, str(trusted))) as stand:
            url = f"grpcs://{stand.at}"
            async with connect(url, ca=str(trusted), cert=client.cert, key=client.key) as one:
                await ask(one)
                trusted.write_text(second.text)
                second.issue("server", NAMES)
                with pytest.raises(Unavailable):  # its certificate is of the CA that is no longer trusted
                    await ask(one)
                second.issue("client", ["spiffe://shop"], client=True)
                await ask(one)
                await asyncio.to_thread(key.write_text, "half a ")
                caplog.set_level(logging.WARNING)
                async with connect(url, ca=str(trusted), cert=client.cert, key=client.key) as another:
                    await ask(another)

    asyncio.run(scenario())
    assert "the new TLS files can't be used, so the old ones stay in use" in caplog.text


def test_the_page_speaks_tls_and_takes_a_renewed_certificate(tmp_path: pathlib.Path) -> None:
    ca = Authority(tmp_path)
    pair = ca.issue("page", NAMES)
    trusting = ssl.create_default_context(cafile=ca.file)

    def look(page: PageServer) -> bytes:
        connection = http.client.HTTPSConnection(page.address.removeprefix("https://"), context=trusting, timeout=20)
        connection.request("GET", "/login")
        response = connection.getresponse()
        assert response.status == 200
        assert "; secure" in response.headers["set-cookie"].lower()
        assert "https://" in page.address
        shown = connection.sock.getpeercert(binary_form=True)
        connection.close()
        return bytes(shown or b"")

    async def scenario() -> None:
        page = bind("127.0.0.1:1", "127.0.0.1:0", door=Door(token="sixteen characters", tls=TlsFiles(pair.cert, pair.key)))
        running = asyncio.create_task(page.run())
        before = await asyncio.to_thread(look, page)
        assert await asyncio.to_thread(look, page) == before
        ca.issue("page", NAMES)
        assert await asyncio.to_thread(look, page) != before
        page.stop()
        await running

    asyncio.run(scenario())


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", ":0", "192.0.2.7:7233", "sagas.example:7233"])
def test_a_server_that_others_can_reach_says_the_three_lines_that_it_wants_and_does_not_start(listen: str) -> None:
    with pytest.raises(ValueError, match=r"--tls-cert .*\n.*--tokens.*--access .*\nor --insecure"):
        asyncio.run(serve("memory:", listen))


def test_tls_alone_is_not_enough(tmp_path: pathlib.Path) -> None:
    pair = Authority(tmp_path).issue("server", NAMES)
    with pytest.raises(ValueError, match="needs TLS and identity"):
        asyncio.run(serve("memory:", "0.0.0.0:0", tls=TlsFiles(pair.cert, pair.key)))


def test_the_command_refuses_in_those_lines_and_starts_with_the_word_that_it_is_insecure(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "durable_saga", "server", "--journal", "memory:", "--listen", "0.0.0.0:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        "  --tls-cert server.pem --tls-key server-key.pem",
        "  --tokens (then: durable-saga token create NAME --role admin --url JOURNAL), or --access access.toml",
        "or --insecure, if only your own programs can reach this address",
    ]
    with subprocess.Popen([*command, "--insecure"], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("listening on 0.0.0.0:")
        running.terminate()
    assert running.returncode == 0


@pytest.mark.parametrize(
    ("url", "options", "told"),
    [
        ("grpcs://user:secret@sagas.example:7233", {}, "…@sagas.example:7233' holds a user or a password"),
        ("grpcs://sagas.example", {}, "give host:port"),
        ("localhost:7233", {"ca": "ca.pem"}, "write grpcs://"),
        ("grpcs://localhost:7233", {"cert": "cert.pem"}, "go together"),
        ("memory:", {"token": "t"}, "are for servers"),
        ("grpcs://localhost:7233", {"ca": __file__}, "test_tls.py isn't a PEM file"),
    ],
)
def test_what_does_not_fit_together_is_told_at_once(url: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told) as error:
        connect(url, **options)
    assert "secret" not in str(error.value)


def test_a_connection_that_was_meant_to_be_tls_is_not_made_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_SAGA_CA", "ca.pem")
    with pytest.raises(ValueError, match=r"write grpcs://host:port \(set: DURABLE_SAGA_CA\)"):
        connect("localhost:7233")


def test_a_token_shows_in_no_repr_and_goes_over_tls_or_to_loopback_alone(tmp_path: pathlib.Path) -> None:
    transport = connect("sagas.example:7233,127.0.0.1:7233", token="dst_secret").transport
    assert "secret" not in repr(transport.credentials)
    assert transport.credentials.metadata("sagas.example:7233") is None
    assert transport.credentials.metadata("127.0.0.1:7233") == (("authorization", "Bearer dst_secret"),)
    (file := tmp_path / "token").write_text("first\n")
    secured = connect("grpcs://sagas.example:7233", token=lambda: file.read_text()).transport.credentials
    assert secured.metadata("sagas.example:7233") == (("authorization", "Bearer first"),)
    file.write_text("second\n")
    assert secured.metadata("sagas.example:7233") == (("authorization", "Bearer second"),)
