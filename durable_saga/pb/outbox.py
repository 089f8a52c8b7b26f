"""What waits to be sent on a stream: a frame takes whatever has come up while the one before was on its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

from durable_saga.pb.payloads import items_in_frame

Item = TypeVar("Item", bound=Any)


class Outbox(Generic[Item]):
    """Of one stream, in order. Whether what is put in after `close()` is still sent, nobody promises."""

    def __init__(self) -> None:
        self.is_closed = False
        self.unread_bytes = 0
        """Of what has not left; a frame that is being sent, FRAME_BYTES_MAX, comes on top."""
        self._items: list[Item] = []
        self._sizes: list[int] = []
        self._wake = asyncio.Event()
        self._left = asyncio.Event()

    def __bool__(self) -> bool:
        """Something has not left."""
        return bool(self._items)

    def put(self, item: Item) -> None:
        size = item.ByteSize()
        self._items.append(item)
        self._sizes.append(size)
        self.unread_bytes += size
        self._wake.set()

    def close(self) -> None:
        """The stream ends when what waits has left."""
        self.is_closed = True
        self._wake.set()
        self._left.set()

    def take(self) -> list[Item]:
        """What has not left, and does not leave any more."""
        items, self._items = self._items, []
        self.unread_bytes -= sum(self._sizes)
        self._sizes = []
        return items

    async def room(self, items_max: int) -> None:
        """Wait until no more than this have not left, or it is closed."""
        while len(self._items) > items_max and not self.is_closed:
            self._left.clear()
            await self._left.wait()

    async def frames(self) -> AsyncIterator[list[Item]]:
        """The items of one frame after the other (FRAME_ITEMS_MAX, FRAME_BYTES_MAX), until the end."""
        while True:
            while self._items:
                count = items_in_frame(self._sizes)
                items, self._items = self._items[:count], self._items[count:]
                sizes, self._sizes = self._sizes[:count], self._sizes[count:]
                self.unread_bytes -= sum(sizes)
                self._left.set()
                yield items
            if self.is_closed:
                return
            self._wake.clear()
            await self._wake.wait()
