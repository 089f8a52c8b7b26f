"""What the audit log keeps, when it is there, and what is done when it can't be written."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from durable_saga_server.journal import JournalUnavailable
from durable_saga_server.journal.ledger import Entry
from durable_saga_server.journal.memory import MemoryJournal

from durable_saga import Worker, connect
from durable_saga.errors import AlreadyEnded, NotAllowed, Unavailable
from durable_saga.pb import access_pb2 as a
from tests.access.standing import Standing, pay, slow, standing


async def rows(stand: Standing, **asked: Any) -> list[a.AuditEntry]:
    """Oldest first, after what waits is written."""
    await stand.server._auditor._flush()
    reply = await stand.service.calls["Audit"](a.AuditRequest(**asked))
    return list(reversed(reply.entries))


def test_who_did_what_to_what_from_where_and_what_came_of_it() -> None:
    async def scenario() -> None:
        async with standing(guarded=True) as stand:
            olga = await stand.client("operator", name="olga")
            web = await stand.client("sender", name="web")
            runner = await stand.client("worker", name="runner")
            async with olga, web, runner:
                async with Worker(runner, sagas=[pay], name="w1"):
                    while not list(stand.service.sessions):
                        await asyncio.sleep(0.01)
                    await web.start(pay, 7, id="p1")
                handle = await web.start(slow, id="s1")
                await web.handle("s1").signal("hint", "a secret value")
                await olga.handle("s1").cancel("wrong order", who="eve")
                await olga.handle("s1").terminate("enough")
                with pytest.raises(AlreadyEnded):
                    await olga.handle("s1").cancel("again")
                for _ in range(3):
                    with pytest.raises(NotAllowed):
                        await handle.terminate()
                await olga.identify()
                await olga.list_page()
                told = [(one.who, one.verb, one.saga, one.detail.partition(";")[0], one.outcome) for one in await rows(stand)]
                assert told == [
                    ("runner", "Work", "w1", "for pay", "OK"),
                    ("web", "Start", "p1", "pay", "OK"),
                    ("web", "Start", "s1", "slow", "OK"),
                    ("web", "Signal", "s1", "hint", "OK"),
                    ("olga", "Cancel", "s1", "wrong order", "OK"),
                    ("olga", "Terminate", "s1", "enough", "OK"),
                    ("olga", "Cancel", "s1", "again", "FAILED_PRECONDITION"),
                    ("web", "Terminate", "", "web may not call Terminate: that needs operator or admin in namespace 'shop'",
                     "PERMISSION_DENIED"),
                ]  # fmt: skip
                (cancelled, _) = await rows(stand, verb="Cancel", who="olga")
                assert cancelled.origin.startswith("ipv4:127.0.0.1:")
                assert (cancelled.kind, cancelled.namespace) == ("token", "shop")
                assert abs(cancelled.at_ms - stand.clock.now_ms()) < 60_000
                assert await rows(stand, namespace="bank") == []
                assert len(await rows(stand, saga="s1")) == 5
                everything = b"".join(one.SerializeToString() for one in await rows(stand))
                assert b"a secret value" not in everything

    asyncio.run(scenario())


def test_tokens_that_are_made_and_revoked_are_recorded_without_the_token() -> None:
    async def scenario() -> None:
        async with standing(guarded=True) as stand, await stand.client("admin", namespaces=["*"], name="chief") as chief:
            rights = a.Rights(roles=["reader"], namespaces=["shop"])
            made = await chief.transport.call("grant", a.GrantRequest(name="r", rights=rights))
            await chief.transport.call("revoke", a.RevokeRequest(id=made.made.id))
            granted, revoked = await rows(stand)
            assert (granted.who, granted.verb, granted.saga) == ("chief", "Grant", "r")
            assert granted.detail == f"reader in shop; token {made.made.id}"
            assert (revoked.verb, revoked.saga, revoked.outcome) == ("Revoke", made.made.id, "OK")
            secret = made.token.split("_", 2)[2].encode()
            assert secret not in granted.SerializeToString() + revoked.SerializeToString()
            reply = await chief.transport.call("audit", a.AuditRequest(limit=1))
            assert [one.verb for one in reply.entries] == ["Revoke"]
            reply = await chief.transport.call("audit", a.AuditRequest(limit=1, page=reply.next_page))
            assert [one.verb for one in reply.entries] == ["Grant"]

    asyncio.run(scenario())


def test_where_nobody_is_asked_what_operators_do_is_recorded_as_they_say_also_on_the_stream_of_calls() -> None:
    async def scenario() -> None:
        async with standing() as stand, connect(stand.at) as client:
            handle = await client.start(slow, id="s1")
            await client.handle(handle.id).signal("hint")
            await handle.cancel("why", who="ann")
            await handle.terminate("so", who="bob")
            told = [(one.who, one.kind, one.verb, one.outcome) for one in await rows(stand)]
            assert told == [("ann", "claimed", "Cancel", "OK"), ("bob", "claimed", "Terminate", "OK")]

    asyncio.run(scenario())


class Unwritten(MemoryJournal):
    """Its audit log can't be written while it is down."""

    def __init__(self) -> None:
        super().__init__()
        self.is_down = False
        real = self.ledger.append

        async def append(entries: Sequence[Entry]) -> None:
            if self.is_down:
                raise JournalUnavailable("no")
            await real(entries)

        self.ledger.append = append  # type: ignore[method-assign]


def test_what_can_not_be_recorded_is_not_done_and_what_is_recorded_after_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable_saga.transport.transport.RETRY_SECONDS_MAX", 0.5)
    journal = Unwritten()

    async def scenario() -> None:
        async with standing(journal, guarded=True) as stand, await stand.client("admin", name="chief") as chief:
            journal.is_down = True
            handle = await chief.start(slow, id="s1")
            with pytest.raises(Unavailable, match="so nothing was done"):
                await handle.terminate("now")
            assert (await handle.overview()).status == "running"
            journal.is_down = False
            await handle.terminate("now")
            told = [(one.verb, one.outcome) for one in await rows(stand)]
            assert told == [("Start", "OK"), ("Terminate", "OK")]

    asyncio.run(scenario())


def test_a_row_of_a_verb_whose_server_died_meanwhile_says_that_it_was_asked_for() -> None:
    journal = MemoryJournal()

    async def scenario() -> None:
        async with standing(journal, guarded=True) as stand, await stand.client("admin", name="chief") as chief:
            handle = await chief.start(slow, id="s1")
            seen: list[str] = []
            real = journal.runs.head

            async def head(run: object) -> object:
                reply = await stand.service.calls["Audit"](a.AuditRequest(verb="Terminate"))
                seen.extend(one.outcome for one in reply.entries)
                return await real(run)  # type: ignore[arg-type]

            journal.runs.head = head  # type: ignore[method-assign,assignment]
            await handle.terminate("now")
            assert seen[0] == "ASKED"

    asyncio.run(scenario())


def test_what_waits_is_written_when_the_server_stops_and_rows_go_when_their_time_is_over() -> None:
    journal = MemoryJournal()

    async def scenario() -> None:
        kept = standing(journal, guarded=True, audit_kept_ms=10_000)
        async with kept as stand, await stand.client("sender", name="web") as web:
            await web.start(slow, id="s1")
        async with standing(journal, guarded=True) as stand:
            assert [one.verb for one in await rows(stand)] == ["Start"]
            stand.clock.ahead_ms += 11_000
            assert await rows(stand) == []
            await stand.server._auditor._ledger.drop_entries(stand.clock.now_ms())
            stand.clock.ahead_ms -= 11_000
            assert await rows(stand) == []

    asyncio.run(scenario())
