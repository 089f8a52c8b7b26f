"""A TCP proxy in front of a server: a link that can be cut, or go silent with its connections open."""

from __future__ import annotations

import asyncio

CHUNK_BYTES = 64 * 1024


class Link:
    """Forwards `address` to `target` (host:port). `cut()`: connections break and new ones are refused at once; `silence()`:
    nothing moves, nobody is told; `mend()` ends both."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.address = ""
        self._server: asyncio.Server | None = None
        self._flows: dict[asyncio.StreamWriter, None] = {}
        self._moves = asyncio.Event()
        self._moves.set()
        self._is_cut = False

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()

    def cut(self) -> None:
        self._is_cut = True
        for writer in list(self._flows):
            writer.transport.abort()

    def silence(self) -> None:
        self._moves.clear()

    def mend(self) -> None:
        self._is_cut = False
        self._moves.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._forward(reader, writer)
        except asyncio.CancelledError:
            pass  # the storm is over

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._flows[writer] = None
        other: asyncio.StreamWriter | None = None
        try:
            await self._moves.wait()
            if self._is_cut:
                return
            host, _, port = self.target.rpartition(":")
            back, other = await asyncio.open_connection(host, int(port))
            self._flows[other] = None
            async with asyncio.TaskGroup() as both:
                both.create_task(self._move(reader, other))
                both.create_task(self._move(back, writer))
        except* OSError:
            pass  # one side is gone: so is the other, below
        finally:
            for one in (writer, other):
                if one is not None:
                    self._flows.pop(one, None)
                    one.transport.abort()

    async def _move(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Raises ConnectionError when one side is at its end: then nothing is left to forward."""
        while data := await reader.read(CHUNK_BYTES):
            await self._moves.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError("the end")
