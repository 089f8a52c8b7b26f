"""Log-in with what a server knows: tokens, a real OpenID provider; roles, lock-out, and sessions that end when told to."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
import pathlib
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from durable_saga_server.access.policy import read_policy
from hypothesis import given
from hypothesis import strategies as st

from durable_saga import Worker
from durable_saga.page import entrance, lockout
from durable_saga.page.lockout import Lockout
from durable_saga.page.oidc import OidcSettings
from durable_saga.page.serving import Door, bind
from durable_saga.page.sessions import Session, Sessions
from durable_saga.pb import access_pb2 as a
from durable_saga.pb.tls_files import TlsFiles
from tests.access.authority import Authority
from tests.access.provider import AUDIENCE, Provider
from tests.access.standing import MovedClock, Standing, slow, standing
from tests.page.test_guards import Answer, ask

POLICY = """
[jwt]
issuer = "{issuer}"
audience = "durable-saga"
jwks = "{issuer}/keys"
name = "email"
[[grant]]
claim = "groups"
value = "operators"
roles = ["operator"]
namespaces = ["shop"]
"""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance, "WRONG_TOKEN_SECONDS", 0.0)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider().serving() as one:
        yield one


@dataclass
class Shown:
    stand: Standing
    at: str

    async def ask(self, path: str, fields: dict[str, str] | None = None, **headers: Any) -> Answer:
        return await asyncio.to_thread(ask, self.at, path, fields, **headers)

    async def try_token(self, token: str, **headers: Any) -> Answer:
        form = await self.ask("/login", **headers)
        fields = {"form_token": form.form_token, "token": token}
        return await self.ask("/login", fields, cookie=form.cookie, **headers)

    async def enter(self, *roles: str, name: str = "") -> str:
        """The cookie."""
        answer = await self.try_token((await self.stand.token(*roles, name=name)).token)
        assert (answer.status, answer.headers["location"]) == (303, "/")
        return answer.cookie

    async def rows(self, verb: str) -> list[a.AuditEntry]:
        await asyncio.sleep(0.5)
        return list((await self.stand.service.calls["Audit"](a.AuditRequest(verb=verb))).entries)


@asynccontextmanager
async def page(provider: Provider | None = None, **door: Any) -> AsyncIterator[Shown]:
    policy = read_policy(POLICY.format(issuer=provider.issuer)) if provider is not None else None
    if provider is not None:
        door["oidc"] = OidcSettings(provider.issuer, AUDIENCE)
    async with standing(guarded=True, policy=policy) as stand:
        server = bind(stand.at, "127.0.0.1:0", namespace="shop", door=Door(sign_in=True, **door))
        running = asyncio.create_task(server.run())
        yield Shown(stand, server.address)
        server.stop()
        await running


def test_a_token_of_the_server_lets_in_and_a_log_out_ends_the_session_for_whoever_has_the_cookie() -> None:
    async def scenario() -> None:
        async with page() as shown:
            assert (await shown.ask("/")).headers["location"] == "/login"
            for wrong in ("", "nonsense", "dst_a_b", "é"):
                assert (await shown.try_token(wrong)).status == 403
            made = (await shown.stand.token("reader", name="ann")).token
            form = await shown.ask("/login")
            entered = await shown.ask("/login", {"form_token": form.form_token, "token": made}, cookie=form.cookie)
            assert entered.cookie != form.cookie  # who has set a cookie beforehand is not logged in by it
            assert (await shown.ask("/", cookie=form.cookie)).status == 303
            inside = await shown.ask("/", cookie=entered.cookie)
            assert inside.status == 200
            assert "Log out ann" in inside.text
            assert "Welcome, ann." in inside.text
            flags = entered.headers["set-cookie"].lower()
            assert "httponly" in flags
            assert "samesite=lax" in flags
            (login,) = await shown.rows("Login")
            assert (login.who, login.detail) == ("ann", "from 127.0.0.1")
            out = await shown.ask("/logout", {"form_token": inside.form_token}, cookie=entered.cookie)
            assert (out.status, out.headers["location"]) == (303, "/login")
            assert (await shown.ask("/", cookie=entered.cookie)).headers["location"] == "/login"

    asyncio.run(scenario())


def test_the_cookie_is_random_and_has_nothing_of_the_token() -> None:
    async def scenario() -> None:
        async with page() as shown:
            token = (await shown.stand.token("reader")).token
            cookies = {(await shown.try_token(token)).cookie.partition("=")[2] for _ in range(5)}
            assert len(cookies) == 5
            for one in cookies:
                data = base64.urlsafe_b64decode(one + "=")
                assert len(data) == 32
                assert data != hashlib.sha256(token.encode()).digest()

    asyncio.run(scenario())


def test_roles_decide_which_buttons_there_are_and_the_pages_behind_them_refuse_too() -> None:
    async def scenario() -> None:
        async with page() as shown, await shown.stand.client("sender") as sender:
            await sender.start(slow, id="s1")
            send, operate = {"sender", "admin"}, {"operator", "admin"}
            buttons = {
                "/start": send, "/saga/signal?id=s1": send, "/saga/do/cancel?id=s1": operate,
                "/saga/do/terminate?id=s1": operate,
            }  # fmt: skip
            for role in ("reader", "operator", "monitor", "admin"):
                cookie = await shown.enter(role)
                text = (await shown.ask("/saga?id=s1", cookie=cookie)).text
                for path, roles in buttons.items():
                    assert (f'href="{path}"' in text) == (role in roles), (role, path)
                    answer = await shown.ask(path, cookie=cookie)
                    assert (answer.status == 200) == (role in roles), (role, path, answer.status)
                    token = (await shown.ask("/saga?id=s1", cookie=cookie)).form_token
                    if role not in roles:
                        fields = {"form_token": token, "who": "eve", "reason": "x", "type": "slow", "name": "go", "once": "1"}
                        refused = await shown.ask(path, fields, cookie=cookie)
                        assert refused.status == 403, (role, path)
                        assert f"{role} may not do this in namespace shop" in refused.text
            worker = await shown.enter("worker")
            assert (await shown.ask("/", cookie=worker)).status == 403
            assert (await sender.identify()).name == "sender"
            assert [one.verb for one in await shown.rows("Terminate")] == []

    asyncio.run(scenario())


def test_builds_are_shown_to_readers_and_rolled_out_by_operators_alone_under_their_own_name() -> None:
    async def scenario() -> None:
        async with page() as shown, await shown.stand.client("admin") as known, await shown.stand.client("worker") as works:
            build = "2026-11-28.1"
            async with Worker(works, sagas=[slow], build=build):
                for role in ("reader", "monitor", "operator", "admin"):
                    cookie = await shown.enter(role)
                    form = await shown.ask("/builds", cookie=cookie)
                    assert (form.status, build in form.text) == (200, True)
                    may = role in ("operator", "admin")
                    assert ("Roll it out" in form.text) == may, role
                    fields = {"form_token": form.form_token, "build": build, "share": "100%", "type": "slow", "who": "eve"}
                    answer = await shown.ask("/builds", fields, cookie=cookie)
                    assert answer.status == (303 if may else 403), (role, answer.text)
                    told = [one.who for row in await known.builds() for one in row.roll_outs]
                    assert told == ([role] if may else [])

    asyncio.run(scenario())


def test_the_form_that_restarts_an_ended_saga_does_it_once_however_often_it_is_sent() -> None:
    async def scenario() -> None:
        async with page() as shown, await shown.stand.client("admin") as client:
            handle = await client.start(slow, id="s1")
            cookie = await shown.enter("operator")
            assert "/saga/do/restart" not in (await shown.ask("/saga?id=s1", cookie=cookie)).text
            await handle.terminate()
            assert 'href="/saga/do/restart?id=s1&amp;run=1"' in (await shown.ask("/saga?id=s1", cookie=cookie)).text
            form = await shown.ask("/saga/do/restart?id=s1&run=1", cookie=cookie)
            fields = {"form_token": form.form_token, "who": "ann", "reason": "again"}
            first = await shown.ask("/saga/do/restart?id=s1&run=1", fields, cookie=cookie)
            assert first.status == 303
            await handle.terminate()
            second = await shown.ask("/saga/do/restart?id=s1&run=1", fields, cookie=cookie)
            assert second.status == 409
            assert "not the newest run" in second.text
            found = await handle.describe()
            assert (found.run, found.restarted) == (2, "by operator: again")
            assert "/saga/do/restart" not in (await shown.ask("/saga?id=s1&run=1", cookie=cookie)).text

    asyncio.run(scenario())


def test_what_is_done_is_done_by_whom_has_logged_in_whatever_the_form_says() -> None:
    async def scenario() -> None:
        async with page() as shown, await shown.stand.client("sender") as sender:
            await sender.start(slow, id="s1")
            cookie = await shown.enter("operator", name="olga")
            form = await shown.ask("/saga/do/cancel?id=s1", cookie=cookie)
            assert "with your name: olga" in form.text
            fields = {"form_token": form.form_token, "who": "eve", "reason": "wrong"}
            assert (await shown.ask("/saga/do/cancel?id=s1", fields, cookie=cookie)).status == 303
            (row,) = await shown.rows("Cancel")
            assert (row.who, row.outcome) == ("olga", "OK")
            async with await shown.stand.client("reader") as reader:
                assert [one.who for one in (await reader.handle("s1").describe()).messages] == ["olga"]

    asyncio.run(scenario())


def test_a_log_in_is_over_when_its_token_is() -> None:
    async def scenario() -> None:
        async with page() as shown:
            made = await shown.stand.token("reader")
            cookie = (await shown.try_token(made.token)).cookie
            assert (await shown.ask("/", cookie=cookie)).status == 200
            await shown.stand.service.calls["Revoke"](a.RevokeRequest(id=made.made.id))
            await asyncio.sleep(2.5)
            over = await shown.ask("/", cookie=cookie)
            assert (over.status, over.headers["location"]) == (303, "/login?over=1")
            assert "Your session has expired" in (await shown.ask("/login?over=1")).text
            assert (await shown.ask("/", cookie=cookie)).headers["location"] == "/login"

    asyncio.run(scenario())


def test_wrong_tokens_shut_their_address_out_for_a_while_also_for_the_right_one() -> None:
    async def scenario() -> None:
        async with page(behind_tls=True) as shown:
            right = (await shown.stand.token("reader")).token
            headers: dict[str, Any] = {"x_forwarded_for": "203.0.113.9, 192.0.2.1"}
            for _ in range(lockout.WRONG_MAX - 1):
                assert (await shown.try_token("wrong", **headers)).status == 403
            assert (await shown.ask("/", authorization="Bearer wrong", **headers)).status == 401
            shut = await shown.try_token(right, **headers)
            assert shut.status == 429
            assert "Too many wrong tokens came from your address" in shut.text
            program = await shown.ask("/", authorization=f"Bearer {right}", **headers)
            assert program.status == 429
            assert 50 <= int(program.headers["retry-after"]) <= lockout.LOCKED_SECONDS
            assert (await shown.try_token(right, x_forwarded_for="192.0.2.1, 203.0.113.9")).status == 303
            assert (await shown.ask("/", authorization=f"Bearer {right}", x_forwarded_for="203.0.113.9")).status == 200

    asyncio.run(scenario())


def test_a_token_is_no_cookie_so_that_nobody_tries_tokens_past_the_lock_out() -> None:
    async def scenario() -> None:
        async with page() as shown:
            token = (await shown.stand.token("reader")).token
            assert (await shown.ask("/", authorization=f"Bearer {token}")).status == 200
            for value in (token, f"bearer {token}", f"bearer%00{token}"):
                assert (await shown.ask("/", cookie=f"durable_saga_page={value}")).status == 303

    asyncio.run(scenario())


def test_behind_tls_the_cookie_is_for_https_and_for_this_very_host(tmp_path: pathlib.Path) -> None:
    ca = Authority(tmp_path)
    pair = ca.issue("page", ["127.0.0.1"])

    def look(at: str) -> str:
        context = ssl.create_default_context(cafile=ca.file)
        connection = http.client.HTTPSConnection(urlsplit(at).netloc, context=context, timeout=20)
        connection.request("GET", "/login")
        cookie = connection.getresponse().headers["set-cookie"]
        connection.close()
        return cookie

    async def scenario() -> None:
        async with page(tls=TlsFiles(pair.cert, pair.key)) as shown:
            cookie = await asyncio.to_thread(look, shown.at)
            assert cookie.startswith("__Host-durable_saga_page=")
            assert cookie.endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")

    asyncio.run(scenario())


# --- OpenID Connect -----------------------------------------------------------------------------------------------------------


async def at_provider(shown: Shown) -> tuple[str, str]:
    """The cookie of who began, and where the provider sends the browser back to."""
    begun = await shown.ask("/login/oidc")
    assert begun.status == 302
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["nonce"]
    provider = urlsplit(begun.headers["location"])
    back = await asyncio.to_thread(ask, f"http://{provider.netloc}", f"{provider.path}?{provider.query}")
    return begun.cookie, back.headers["location"].removeprefix(shown.at)


def test_a_log_in_at_an_openid_provider_gives_the_roles_of_its_claims(provider: Provider) -> None:
    async def scenario() -> None:
        async with page(provider) as shown:
            assert 'href="/login/oidc"' in (await shown.ask("/login")).text
            cookie, back = await at_provider(shown)
            entered = await shown.ask(back, cookie=cookie)
            assert (entered.status, entered.headers["location"]) == (303, "/")
            inside = await shown.ask("/", cookie=entered.cookie)
            assert "Log out ann@example.org" in inside.text
            assert 'href="/start"' not in inside.text  # an operator starts nothing
            assert (await shown.ask("/start", cookie=entered.cookie)).status == 403
            assert (await shown.ask(back, cookie=cookie)).status == 403  # a code is good once
            provider.user = {"sub": "u-2", "email": "bob@example.org", "groups": ["visitors"]}
            cookie, back = await at_provider(shown)
            bob = await shown.ask(back, cookie=cookie)
            refused = await shown.ask("/", cookie=bob.cookie)
            assert refused.status == 403
            assert "bob@example.org may not call" in refused.text

    asyncio.run(scenario())


def test_an_answer_that_this_browser_did_not_ask_the_provider_for_is_refused(provider: Provider) -> None:
    async def scenario() -> None:
        async with page(provider) as shown:
            cookie, back = await at_provider(shown)
            other, _ = await at_provider(shown)
            assert (await shown.ask(back)).status == 403
            assert (await shown.ask(back, cookie=other)).status == 403
            assert (await shown.ask(back.replace("state=", "state=x"), cookie=cookie)).status == 403
            cookie, back = await at_provider(shown)
            provider.nonce = "of another log-in"
            wrong = await shown.ask(back, cookie=cookie)
            assert wrong.status in (403, 502)
            assert (await shown.ask("/", cookie=wrong.cookie or cookie)).headers["location"] == "/login"

    asyncio.run(scenario())


def test_a_provider_that_does_not_answer_is_said_to_be_gone(provider: Provider) -> None:
    async def scenario() -> None:
        async with standing(guarded=True) as stand:
            door = Door(oidc=OidcSettings("http://127.0.0.1:9", AUDIENCE))
            server = bind(stand.at, "127.0.0.1:0", namespace="shop", door=door)
            running = asyncio.create_task(server.run())
            answer = await Shown(stand, server.address).ask("/login/oidc")
            assert answer.status == 502
            assert "did not answer as expected" in answer.text
            server.stop()
            await running

    asyncio.run(scenario())


def test_a_page_of_a_journal_can_not_ask_who_somebody_is() -> None:
    with pytest.raises(ValueError, match="is a journal"):
        bind("sqlite:///sagas.db", "127.0.0.1:0", door=Door(sign_in=True))
    with pytest.raises(ValueError, match="give only one of the two"):
        Door(sign_in=True, token="sixteen characters")


# --- laws ----------------------------------------------------------------------------------------------------

moves = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.booleans(), st.integers(0, 2_000)), max_size=40)


@given(moves)
def test_an_address_is_shut_after_so_many_wrong_ones_in_a_row_never_before_and_never_for_ever(
    steps: list[tuple[str, bool, int]],
) -> None:
    one, now_ms = Lockout(), 0
    wrong = {"a": 0, "b": 0}
    for address, is_right, seconds in steps:
        now_ms += seconds * 1000
        left = one.seconds_left(address, now_ms)
        assert 0 <= left <= lockout.LOCKED_SECONDS_MAX
        assert one.seconds_left(address, now_ms + left * 1000) == 0
        if wrong[address] < lockout.WRONG_MAX:
            assert left == 0
        if left:
            continue
        if is_right:
            one.right(address)
            wrong[address] = 0
        else:
            one.wrong(address, now_ms)
            wrong[address] += 1


@given(st.lists(st.integers(0, lockout.FORGOTTEN_SECONDS - 1), min_size=lockout.WRONG_MAX, max_size=20))
def test_wrong_ones_that_come_soon_enough_shut_for_longer_and_longer(pauses: list[int]) -> None:
    one, now_ms, before = Lockout(), 0, 0
    for number, pause in enumerate(pauses, 1):
        now_ms += (pause + one.seconds_left("a", now_ms)) * 1000
        one.wrong("a", now_ms)
        left = one.seconds_left("a", now_ms)
        assert (left > 0) == (number >= lockout.WRONG_MAX)
        assert left >= before
        before = left


def test_addresses_and_sessions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockout, "ADDRESSES_MAX", 10)
    monkeypatch.setattr("durable_saga.page.sessions.SESSIONS_MAX", 10)
    one, sessions = Lockout(), Sessions(MovedClock())
    for number in range(100):
        one.wrong(str(number), number)
        sessions.keep(Session({"form": "x"}))
    assert len(one._known) == 10
    assert len(sessions._kept) == 10
