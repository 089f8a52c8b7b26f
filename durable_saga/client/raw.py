"""What a server tells of a run, in messages of the wire: for the page, the commands and what else is part of this package.

Users get plain data by the same names from a handle. Every function raises NotFound and Unavailable.
"""

from __future__ import annotations

from typing import Any, Protocol

from durable_saga.client.asking import Asker
from durable_saga.pb import access_pb2 as a
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb.payloads import missing_in
from durable_saga.sealing.payload_codec import Subject
from durable_saga.transport.fetching import fill as filled


class OfRun(Protocol):
    """A handle, as far as it is needed here."""

    @property
    def _client(self) -> Asker: ...
    @property
    def _key(self) -> h.RunKey: ...


async def describe(handle: OfRun, *, large: bool = True) -> c.Description:
    """With its large values if they are wanted."""
    return await describe_key(handle._client, handle._key, large=large)


async def describe_key(client: Asker, key: h.RunKey, *, large: bool = True) -> c.Description:
    """As `describe()`, by the key of a run."""
    found: c.Description = await client.transport.call("describe", c.DescribeRequest(key=key))
    if large:
        await fill(client, found.key, found)
    return found


async def history(handle: OfRun) -> list[h.Event]:
    """All events, oldest first, with their large values."""
    events: list[h.Event] = []
    key = handle._key
    seq = 0
    while True:
        page = await _page(handle._client, key, seq)
        key, seq = page.key, page.next_seq
        events += page.events
        if not page.events and not page.damaged:
            return events


async def history_page(handle: OfRun, from_seq: int = 0, *, limit: int = 0, large: bool = True) -> list[h.Event]:
    """Those from `from_seq` on, `limit` at most (0: as many as the server gives at once)."""
    return list((await _page(handle._client, handle._key, from_seq, limit, large)).events)


async def events_page(client: Asker, key: h.RunKey, from_seq: int) -> c.HistoryReply:
    """As many events as the server gives at once, without their large values."""
    return await _page(client, key, from_seq, large=False)


async def _page(client: Asker, key: h.RunKey, from_seq: int, limit: int = 0, large: bool = True) -> c.HistoryReply:
    page: c.HistoryReply = await client.transport.call("history", c.HistoryRequest(key=key, from_seq=from_seq, limit=limit))
    if large:
        await fill(client, page.key, page)
    return page


async def fetch(client: Asker, key: h.RunKey, payload: p.Payload) -> bytes:
    """The data of a reference. Raises NotFound also when the run was purged."""
    request = c.FetchRequest(key=key, hash=payload.hash, size=payload.size)
    return bytes((await client.transport.call("fetch", request)).data)


async def fill(client: Asker, key: h.RunKey, message: Any) -> None:
    """Put the data into every reference of a message, opened where that can be done."""
    if missing := missing_in(message):
        await filled(key, missing, lambda key, payload: fetch(client, key, payload))
        if client.sealing is not None:
            client.sealing.open(message, Subject(key.namespace, key.saga), strict=False)


async def identify(client: Asker, *, login_from: str = "") -> a.Identity:
    """Who the client is to the server. `login_from` is for a page: the address from which somebody logs in, for the audit
    log. Raises NotKnown."""
    known: a.Identity = await client.transport.call("identify", a.IdentifyRequest(login_from=login_from))
    return known
