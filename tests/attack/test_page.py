"""Connections to the page that ask for nothing, or for too much: others come in, before any login."""

from __future__ import annotations

import asyncio
import pathlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from durable_saga.page import connections
from durable_saga.page.serving import Door, PageServer, bind
from durable_saga.pb.tls_files import TlsFiles
from tests.access.authority import Authority

TOKEN = "a-token-of-27-characters-xyz"
ASK = b"GET /login HTTP/1.1\r\nhost: localhost\r\n\r\n"


@asynccontextmanager
async def page(tls: TlsFiles | None = None) -> AsyncIterator[tuple[str, int]]:
    server: PageServer = bind("127.0.0.1:1", "127.0.0.1:0", door=Door(token=TOKEN, tls=tls))
    running = asyncio.create_task(server.run())
    where = urlsplit(server.address)
    assert where.hostname is not None
    assert where.port is not None
    while tls is None and await status(where.hostname, where.port) == "":
        await asyncio.sleep(0.05)
    yield where.hostname, where.port
    server.stop()
    await running


async def status(host: str, port: int) -> str:
    """Of the login's page; empty where the connection is closed instead."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(ASK)
        async with asyncio.timeout(5):
            line = await reader.readline()
        return line.decode().split(" ")[1] if line else ""
    except (ConnectionError, TimeoutError):
        return ""
    finally:
        writer.close()


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(5):
            return await reader.read(1) == b""
    except ConnectionError:
        return True


def test_idle_connections_to_the_page_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS_MAX", 0.5)

    async def scenario() -> None:
        async with page() as (host, port):
            idle = [await asyncio.open_connection(host, port) for _ in range(90)]
            for _, writer in idle[::2]:
                writer.write(b"GET /login HTTP/1.1\r\nhost: local")  # half a head is none
            assert await status(host, port) == "200"
            assert all(await asyncio.gather(*(is_closed(reader) for reader, _ in idle)))
            for _, writer in idle:
                writer.close()

    asyncio.run(scenario())


def test_who_does_not_finish_a_tls_handshake_is_let_go(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS_MAX", 1.0)
    ca = Authority(tmp_path)
    pair = ca.issue("page", ["localhost"])
    trusting = ssl.create_default_context(cafile=ca.file)

    async def scenario() -> None:
        async with page(TlsFiles(pair.cert, pair.key)) as (host, port):
            idle = [await asyncio.open_connection(host, port) for _ in range(300)]
            for _, writer in idle[::2]:
                writer.write(b"\x16\x03\x01\x02")  # the beginning of a hello
            _, writer = await asyncio.open_connection(host, port, ssl=trusting, server_hostname="localhost")
            writer.close()
            assert all(await asyncio.gather(*(is_closed(reader) for reader, _ in idle)))
            for _, writer in idle:
                writer.close()

    asyncio.run(scenario())


def test_one_address_has_a_bounded_part_of_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_PER_ADDRESS_MAX", 20)

    async def scenario() -> None:
        async with page() as (host, port):
            taken = [await asyncio.open_connection(host, port, local_addr=("127.0.0.2", 0)) for _ in range(210)]
            await asyncio.sleep(0.3)
            assert connections.Bounded.connected["127.0.0.2"] <= 20
            assert await status(host, port) == "200", "from another address"
            for _, writer in taken:
                writer.close()

    asyncio.run(scenario())


def test_a_connection_that_is_used_again_has_its_time_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS_MAX", 0.6)

    async def scenario() -> None:
        async with page() as (host, port):
            reader, writer = await asyncio.open_connection(host, port)
            for _ in range(4):
                await asyncio.sleep(0.3)
                writer.write(ASK)
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                length = next(
                    int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length")
                )
                await reader.readexactly(length)
            writer.close()

    asyncio.run(scenario())
