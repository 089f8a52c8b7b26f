"""Who is let in, with real tokens, JWTs of a real issuer over HTTP, and certificates; until when; and what histories say."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from durable_saga_server.access.policy import Policy, read_policy
from durable_saga_server.journal import JournalUnavailable
from durable_saga_server.journal.memory import MemoryJournal

from durable_saga import Client, Worker, connect
from durable_saga.client import raw
from durable_saga.errors import NotAllowed, NotFound, SagaCancelled, Unavailable
from durable_saga.pb import access_pb2 as a
from durable_saga.pb.tls_files import TlsFiles
from tests.access.authority import Authority
from tests.access.provider import AUDIENCE, Provider
from tests.access.standing import pay, slow, standing


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider().serving() as one:
        yield one


def policy_for(provider: Provider) -> Policy:
    return read_policy(f"""
        [jwt]
        issuer = "{provider.issuer}"
        audience = "{AUDIENCE}"
        jwks = "{provider.issuer}/keys"
        name = "email"
        [[grant]]
        claim = "groups"
        value = "operators"
        roles = ["operator", "sender"]
        namespaces = ["shop"]
        [[grant]]
        san = "spiffe://shop/worker/*"
        roles = ["worker"]
        namespaces = ["shop"]
        saga_types = ["pay", "slow"]
    """)


async def refused(client: Client) -> str:
    with pytest.raises(NotAllowed) as error:
        await client.statistics()
    return str(error.value)


def test_sagas_run_with_a_token_for_each_and_the_history_names_who_cancelled_whatever_the_request_says() -> None:
    async def scenario() -> None:
        async with standing(guarded=True) as stand:
            sender, operator = await stand.client("sender", "reader", name="web"), await stand.client("operator", name="olga")
            working = await stand.client("worker", types=["pay", "slow"])
            async with working, sender, operator, Worker(working, sagas=[pay, slow]):
                assert await (await sender.start(pay, 7)).result(timeout=20) == 7
                handle = await sender.start(slow)
                with pytest.raises(
                    NotAllowed, match="web may not call Cancel: that needs operator or admin in namespace 'shop'"
                ):
                    await handle.cancel("mine")
                await operator.handle(handle.id).cancel("stop", who="eve")
                with pytest.raises(SagaCancelled):
                    await handle.result(timeout=20)
                assert [e.cancel_requested.who for e in await raw.history(handle) if e.HasField("cancel_requested")] == ["olga"]
                with pytest.raises(NotAllowed, match="in namespace 'bank'"):
                    await connect(stand.at, namespace="bank", token=(await stand.token("sender")).token).start(pay, 1)

    asyncio.run(scenario())


def test_a_revoked_token_ends_what_was_opened_with_it_and_an_expired_one_too() -> None:
    async def scenario() -> None:
        async with standing(guarded=True) as stand:
            for how in ("revoked", "expired"):
                made = await stand.token("sender", "reader", days=1)
                async with connect(stand.at, namespace="shop", token=made.token) as client:
                    handle = await client.start(slow)  # nobody runs it
                    waiting = asyncio.create_task(handle.result(timeout=60))
                    await asyncio.sleep(0.1)
                    if how == "revoked":
                        await stand.service.calls["Revoke"](a.RevokeRequest(id=made.made.id, namespace="shop"))
                    else:
                        stand.clock.ahead_ms += 86_400_000
                    with pytest.raises(NotAllowed, match="unknown, expired or revoked"):
                        await waiting
                    assert "unknown, expired or revoked" in await refused(client)

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_wait_and_a_worker_outlive_their_token_when_its_file_holds_the_next_one(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        async with standing(guarded=True) as stand:
            first = await stand.token("sender", "reader", "worker", days=1)
            (file := tmp_path / "token").write_text(first.token)
            async with connect(stand.at, namespace="shop", token=file.read_text) as client, Worker(client, sagas=[slow]):
                waiting = asyncio.create_task((await client.start(slow)).result(timeout=60))
                await asyncio.sleep(0.2)
                file.write_text((await stand.token("sender", "reader", "worker")).token)
                await stand.service.calls["Revoke"](a.RevokeRequest(id=first.made.id))
                await asyncio.sleep(4)  # by then both streams were ended and begun anew
                (session,) = stand.service.sessions
                assert session.caller is not None
                assert session.caller.identity.token != first.made.id
                for one in [one async for one in client.list()]:
                    await client.handle(one.id).signal("go")
                assert await waiting == "gone"

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_jwts_of_the_issuer_are_taken_with_the_roles_of_their_claims_and_no_others(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable_saga.transport.credentials.BEARER_CHARACTERS_MAX", 8_000)  # of a client that does not look

    async def scenario() -> None:
        async with standing(policy=policy_for(provider)) as stand:

            def client(token: str) -> Client:
                return connect(stand.at, namespace="shop", token=token)

            async with client(provider.token()) as ann:
                known = await ann.identify()
                assert (known.name, known.kind, list(known.rights[0].roles)) == (
                    "ann@example.org",
                    "jwt",
                    ["sender", "operator"],
                )
                await ann.start(pay, 1)
            async with client(provider.token(groups=["visitors"])) as nobody:
                assert "may not call Statistics" in await refused(nobody)
            kid = next(iter(provider.keys))
            forged = {
                "the JWT is refused": provider.token(aud="other"), "Invalid issuer": provider.token(iss="https://evil.example"),
                "expired": provider.token(seconds=-60), "not valid yet": provider.token(nbf=time.time() + 300),
                'missing the "exp"': provider.token(exp=None), "isn't a name": provider.token(email=None),
                "its times can't be read": provider.token(exp=1e400), "algorithm is not allowed": unsigned(provider.token()),
                "The specified alg value is not allowed": signed_with_the_public_key(provider, kid),
                "Signature verification failed": provider.token()[:-6] + "AAAAAA", "a key that its issuer": foreign(provider),
                "isn't a token of this server|Not enough segments": "x", "too long": "x" * 7_501,
            }  # fmt: skip
            for what, token in forged.items():
                async with client(token) as eve:
                    assert "the JWT is refused" in await refused(eve), what

    asyncio.run(scenario())


def unsigned(token: str) -> str:
    return f"{_part({'alg': 'none', 'typ': 'JWT', 'kid': 'key-1'})}.{token.split('.')[1]}."


def signed_with_the_public_key(provider: Provider, kid: str) -> str:
    """As if the key that everybody knows were a secret."""
    key = provider.keys[kid][1].public_key()
    secret = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{provider.token().split('.')[1]}"
    return f"{text}.{_bytes(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def foreign(provider: Provider) -> str:
    known, provider.keys = provider.keys, {"of-nobody": next(iter(provider.keys.values()))}
    token = provider.token()
    provider.keys = known
    return token


def _part(content: dict[str, Any]) -> str:
    return _bytes(json.dumps(content).encode())


def _bytes(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_keys_of_the_issuer_rotate_and_are_missed_for_an_hour_at_most(provider: Provider) -> None:
    async def scenario() -> None:
        async with standing(policy=policy_for(provider)) as stand:

            async def come(token: str, seconds: float = 30) -> str:
                async with connect(stand.at, namespace="shop", token=token) as client:
                    try:
                        return (await asyncio.wait_for(client.identify(), seconds)).name
                    except NotAllowed as error:
                        return str(error)
                    except (TimeoutError, Unavailable):
                        return "come again"

            async def settled(token: str) -> str:
                """What it comes to: on a loaded machine the keys may not be read in time, and are then read again later."""
                async with asyncio.timeout(120):
                    while (said := await come(token)) == "come again":
                        stand.clock.ahead_ms += 11_000
                    return said

            old = provider.token(seconds=864_000)
            assert await settled(old) == "ann@example.org"
            provider.rotate("ES256")
            assert "a key that its issuer does not have" in await come(provider.token())  # it was looked at just now
            stand.clock.ahead_ms += 11_000
            assert await settled(provider.token(seconds=864_000)) == "ann@example.org"
            reads = provider.keys_read
            for _ in range(20):
                assert "a key that its issuer does not have" in await settled(foreign(provider))
            assert provider.keys_read == reads
            del provider.keys["key-1"]
            stand.clock.ahead_ms += 301_000
            async with asyncio.timeout(60):  # nobody waits for the keys to be read again
                while "a key that its issuer does not have" not in await come(old):
                    await asyncio.sleep(0.1)
            provider.is_up = False
            stand.clock.ahead_ms += 301_000
            assert await settled(provider.token(seconds=864_000)) == "ann@example.org"  # by a key that is known
            provider.rotate()
            stand.clock.ahead_ms += 11_000
            assert await come(provider.token(seconds=864_000), 3) == "come again"
            stand.clock.ahead_ms += 3_600_000
            assert await come(provider.token(kid="key-2", seconds=864_000), 3) == "come again"
            provider.is_up = True
            stand.clock.ahead_ms += 11_000
            assert await settled(provider.token(seconds=864_000)) == "ann@example.org"

    asyncio.run(scenario())


def test_a_certificate_names_its_worker_until_it_expires(provider: Provider, tmp_path: pathlib.Path) -> None:
    ca = Authority(tmp_path)
    server = ca.issue("server", ["127.0.0.1"])
    worker = ca.issue("worker", ["worker.shop", "spiffe://shop/worker/7"], seconds=86_400, client=True)
    other = ca.issue("other", ["spiffe://bank/worker/7"], seconds=864_000, client=True)
    tls = TlsFiles(server.cert, server.key, ca.file)

    async def scenario() -> None:
        async with standing(policy=policy_for(provider), tls=tls) as stand:
            url = f"grpcs://{stand.at}"
            async with connect(url, namespace="shop", ca=ca.file, cert=worker.cert, key=worker.key) as client:
                known = await client.identify()
                assert (known.name, known.kind) == ("spiffe://shop/worker/7", "certificate")
                assert known.expires_at is not None
                assert abs(known.expires_at.timestamp() - time.time() - 86_400) < 60
                sender = connect(
                    url, namespace="shop", ca=ca.file, cert=other.cert, key=other.key, token=provider.token(seconds=864_000)
                )
                async with sender, Worker(client, sagas=[pay]):  # a bearer goes before the certificate
                    assert (await sender.identify()).name == "ann@example.org"
                    assert await (await sender.start(pay, 3)).result(timeout=20) == 3
                    assert "may not call Statistics" in await refused(client)
                    stand.clock.ahead_ms += 2 * 86_400_000
                    await asyncio.sleep(1.5)
                    assert not list(stand.service.sessions)
                assert await refused(client) == "the client certificate has expired"
            async with connect(url, namespace="shop", ca=ca.file, cert=other.cert, key=other.key) as stranger:
                assert "spiffe://bank/worker/7 may not call" in await refused(stranger)

    asyncio.run(scenario())


class Unread(MemoryJournal):
    """Its tokens can't be read while it is down."""

    def __init__(self) -> None:
        super().__init__()
        self.is_down = False
        real = self.ledger.tokens

        async def tokens() -> Any:
            if self.is_down:
                raise JournalUnavailable("no")
            return await real()

        self.ledger.tokens = tokens  # type: ignore[method-assign]


def test_while_the_journal_can_not_be_read_known_tokens_go_on_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable_saga.transport.transport.RETRY_SECONDS_MAX", 0.5)
    journal = Unread()

    async def scenario() -> None:
        async with standing(journal, guarded=True) as stand, await stand.client("reader") as client:
            await client.statistics()
            journal.is_down = True
            stand.clock.ahead_ms += 50_000
            await client.list_page()
            async with connect(stand.at, namespace="shop", token="dst_unknown_secret") as other:
                assert "unknown" in await refused(other)
            stand.clock.ahead_ms += 11_000
            with pytest.raises(Unavailable, match="can't read its tokens from the journal now"):
                await client.list_page()
            with pytest.raises((Unavailable, TimeoutError)):  # on the stream of calls, which has ended
                await client.handle("s1").result(1)
            journal.is_down = False
            await asyncio.sleep(2.2)
            await client.list_page()

    asyncio.run(scenario())


def test_tokens_are_kept_as_hashes_and_an_admin_of_a_namespace_gives_and_takes_those_of_it_alone() -> None:
    async def scenario() -> None:
        async with standing(guarded=True) as stand:
            chief = await stand.client("admin", namespaces=["*"], name="chief")
            local = await stand.client("admin", name="local")
            async with chief, local:
                rights = a.Rights(roles=["reader"], namespaces=["shop"])
                made = await local.transport.call("grant", a.GrantRequest(name="r", rights=rights, who="somebody else"))
                assert made.made.made_by == "local"
                rows = await stand.service.journal.ledger.tokens()
                assert made.token.startswith(f"dst_{made.made.id}_")
                assert not [row for row in rows if made.token.split("_", 2)[2].encode() in repr(row).encode()]
                assert {row.digest for row in rows} >= {hashlib.sha256(made.token.encode()).digest()}
                for namespaces in (["bank"], ["shop", "bank"], ["*"], ["shop*"], []):
                    wide = a.Rights(roles=["reader"], namespaces=namespaces)
                    with pytest.raises(NotAllowed):
                        await local.transport.call("grant", a.GrantRequest(name="r", rights=wide))
                with pytest.raises(NotAllowed, match="in every namespace"):
                    await local.transport.call("tokens", a.TokensRequest())
                mine = (await local.transport.call("tokens", a.TokensRequest(namespace="shop"))).tokens
                assert {one.name for one in mine} == {"local", "r"}
                (root,) = [
                    one for one in (await chief.transport.call("tokens", a.TokensRequest())).tokens if one.name == "chief"
                ]
                with pytest.raises(NotFound):
                    await local.transport.call("revoke", a.RevokeRequest(id=root.id, namespace="shop"))
                async with connect(stand.at, namespace="shop", token=made.token) as reader:
                    await reader.statistics()
                    revoked = await local.transport.call("revoke", a.RevokeRequest(id=made.made.id, namespace="shop"))
                    assert revoked.token.revoked_ms > 0
                    assert "unknown, expired or revoked" in await refused(reader)

    asyncio.run(scenario())
