"""Who may do what, as seen on the wire: hosts, other sites, forged forms, the login; and an engine that is gone."""

from __future__ import annotations

import http.client
import pathlib
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

import pytest

from durable_saga import SyncClient
from durable_saga.page.oidc import OidcSettings
from durable_saga.page.serving import Door, bind
from examples.demo.processes import Process, free_address
from tests.page.conftest import SECONDS, Engine

TOKEN = "a-token-of-27-characters-xyz"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def cookie(self) -> str:
        found: SimpleCookie = SimpleCookie(self.headers.get("set-cookie", ""))
        return "; ".join(f"{name}={one.value}" for name, one in found.items())

    @property
    def form_token(self) -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', self.text)
        assert found, self.text
        return found[1]


def ask(page: str, path: str, fields: dict[str, str] | None = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(page).netloc, timeout=SECONDS)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if fields is None:
        connection.request("GET", path, headers=sent)
    else:
        sent.setdefault("content-type", "application/x-www-form-urlencoded")
        connection.request("POST", path, urlencode(fields), sent)
    response = connection.getresponse()
    try:
        text = response.read().decode()
    except ConnectionResetError:  # the server is done with a request that it has not read to its end
        text = ""
    connection.close()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, text)


def process(folder: pathlib.Path, *words: str) -> Process:
    return Process("page", ["-m", "durable_saga", "page", *words], folder, "page on")


@pytest.fixture(scope="module")
def guarded(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page with a token; the address is where a proxy would find it."""
    page = process(tmp_path_factory.mktemp("guarded"), engine.url, "--listen", "127.0.0.1:0")
    try:
        yield page.start({"DURABLE_SAGA_PAGE_TOKEN": TOKEN})
    finally:
        assert page.stop() == 0


def test_a_post_without_its_token_or_from_another_site_does_nothing(engine: Engine) -> None:
    engine.start("approval", "csrf", id="csrf")
    path = "/saga/do/terminate?id=csrf"
    form = ask(engine.page, path)
    fields = {"who": "eve", "reason": "because", "form_token": form.form_token}
    refused = [
        ask(engine.page, path, {**fields, "form_token": ""}, cookie=form.cookie),
        ask(engine.page, path, {**fields, "form_token": "x" * 43}, cookie=form.cookie),
        ask(engine.page, path, fields),
        ask(engine.page, path, fields, cookie=form.cookie, origin="http://evil.example"),
        ask(engine.page, path, fields, cookie=form.cookie, sec_fetch_site="cross-site"),
        ask(engine.page, path, fields, cookie=form.cookie, sec_fetch_site="same-site"),
    ]
    assert [one.status for one in refused] == [403] * len(refused)
    assert ask(engine.page, path + "&x=1", None, cookie=form.cookie).status == 200  # a GET changes nothing either
    assert engine.client.handle("csrf").describe().status == "running"
    assert ask(engine.page, path, fields, cookie=form.cookie, origin=engine.page).status == 303
    assert engine.client.handle("csrf").describe().status == "terminated"


def test_a_form_that_is_sent_twice_starts_one_saga(engine: Engine) -> None:
    form = ask(engine.page, "/start?type=counting")
    once = re.search(r'name="once" value="(\w+)"', form.text)
    assert once
    fields = {"type": "counting", "arguments": "[0]", "once": once[1], "form_token": form.form_token}
    sent = [ask(engine.page, "/start", fields, cookie=form.cookie) for _ in range(2)]
    assert [one.headers["location"] for one in sent] == [f"/saga?id={once[1]}"] * 2


def test_every_answer_forbids_foreign_code(engine: Engine) -> None:
    for path in ("/", "/no-such-page", "/saga?id=no-such", "/static/page.css"):
        headers = ask(engine.page, path).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
    assert ask(engine.page, "/start", {"arguments": "x" * (9 << 20)}).status == 413


OWN = ("--host", "saga.example.org")
OIDC = ("--oidc-issuer", "https://login.example", "--oidc-client-id", "page")


@pytest.mark.parametrize(
    "words",
    [
        OWN,
        (*OWN, "--token", TOKEN),
        (*OWN, "--sign-in"),
        (*OWN, "--sign-in", "--listen", "0.0.0.0:0", "--insecure"),
        (*OIDC, "--public-url", "https://Saga.example.org:8443/"),
    ],
    ids=" ".join,
)
def test_a_page_answers_to_its_own_names_alone(engine: Engine, tmp_path: pathlib.Path, words: tuple[str, ...]) -> None:
    """However one logs in: no name of another site's can be made to lead to it."""
    page = process(tmp_path, engine.url, "--listen", "127.0.0.1:0", *words)
    try:
        at = page.start({}).replace("0.0.0.0", "127.0.0.1")
        port = urlsplit(at).port
        loopback = ("localhost", f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}")
        for host in (*loopback, "Saga.Example.ORG", "saga.example.org.:443"):
            assert ask(at, "/login", host=host).status == 200, host
        foreign = ("evil.example", f"evil.example:{port}", "localhost.evil.example", "x" * 60_000)
        for host in (*foreign, "", "localhost@evil.example", "[", "\x1b[0m"):
            for path in ("/", "/login", "/static/page.css"):
                refused = ask(at, path, host=host)
                assert refused.status == 400, host
                assert len(refused.text) < 300
        told = "does not answer to the name 'evil.example'. If this is a name of the page, start the page with --host NAME"
        assert told in ask(at, "/login", host="evil.example").text
    finally:
        assert page.stop() == 0


def test_an_address_in_browsers_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--public-url is 'saga\.example': give what browsers open"):
        Door(oidc=OidcSettings("https://login.example", "page", "", "saga.example"))


@pytest.mark.parametrize("host", ["https://saga.example.org", "saga.example.org:443", "*.example.org", "*", "", "a b"])
def test_a_host_that_is_no_name_is_refused_at_the_start(host: str) -> None:
    with pytest.raises(ValueError, match="give a name alone, such as"):
        bind("127.0.0.1:1", "127.0.0.1:0", hosts=[host])


def test_with_a_token_nothing_is_shown_or_done_before_the_login(guarded: str, engine: Engine) -> None:
    engine.start("approval", "locked", id="locked")
    for path in ("/", "/saga?id=locked", "/saga/event?id=locked&seq=0", "/start"):
        answer = ask(guarded, path)
        assert (answer.status, answer.headers["location"]) == (303, "/login"), path
    assert ask(guarded, "/saga/do/cancel?id=locked", {"who": "eve"}).headers["location"] == "/login"
    form = ask(guarded, "/login")
    fields = {"who": "ann", "form_token": form.form_token}
    wrong = ask(guarded, "/login", {**fields, "token": "wrong"}, cookie=form.cookie)
    assert wrong.status == 403
    assert "The token is wrong." in wrong.text
    entered = ask(guarded, "/login", {**fields, "token": TOKEN}, cookie=form.cookie)
    shown = ask(guarded, "/", cookie=entered.cookie)
    assert (entered.status, shown.status) == (303, 200)
    assert "Log out ann" in shown.text
    assert "httponly" in entered.headers["set-cookie"].lower()
    assert "samesite=lax" in entered.headers["set-cookie"].lower()


def test_a_program_shows_the_token_in_a_header(guarded: str) -> None:
    assert ask(guarded, "/", authorization=f"Bearer {TOKEN}").status == 200
    assert ask(guarded, "/", authorization="Bearer wrong").status == 401


@pytest.mark.parametrize(
    ("listen", "token", "told"),
    [
        ("0.0.0.0:0", "", "--tls-cert page.pem"),
        ("0.0.0.0:0", "sixteen characters", "--tls-cert page.pem"),
        ("0.0.0.0:0", "short", "at least 16 are needed"),
        ("8233", "", "give HOST:PORT"),
    ],
)
def test_a_page_that_others_could_reach_does_not_start_without_a_good_token(listen: str, token: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        bind("127.0.0.1:1", listen, door=Door(token=token))


def test_a_page_of_no_engine_does_not_start() -> None:
    with pytest.raises(ValueError, match="'nonsense' isn't an address: give host:port"):
        bind("nonsense", "127.0.0.1:0")


def test_why_a_page_does_not_start_is_one_sentence(engine: Engine) -> None:
    taken = urlsplit(engine.page).netloc
    done = subprocess.run(
        [sys.executable, "-m", "durable_saga", "page", engine.url, "--listen", taken],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == f"Error: the page can't listen on {taken}: Address already in use; give another address with --listen\n"
    )


def test_the_page_says_that_the_engine_is_gone_and_shows_it_again_when_it_is_back(tmp_path: pathlib.Path) -> None:
    address = free_address()
    command = ["-m", "durable_saga", "server", "--journal", f"sqlite:///{tmp_path}/sagas.db", "--listen", address]
    server, page = Process("server", command, tmp_path, "listening on"), process(tmp_path, address, "--listen", "127.0.0.1:0")
    try:
        server.start({})
        at = page.start({})
        assert ask(at, "/").status == 200
        server.kill()
        gone = ask(at, "/")
        assert (gone.status, gone.headers["retry-after"]) == (503, "3")
        assert "No answer" in gone.text
        server.start({})
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and ask(at, "/").status != 200:
            time.sleep(0.2)
        assert ask(at, "/").status == 200
    finally:
        page.stop()
        server.stop()


def test_a_damaged_saga_is_shown_as_that_with_what_is_left(tmp_path: pathlib.Path) -> None:
    command = ["-m", "durable_saga", "dev", "--file", str(tmp_path / "s.db"), "--listen", "127.0.0.1:0"]
    server = Process("server", [*command, "--page-listen", "127.0.0.1:0"], tmp_path, "page on")
    try:
        page = server.start({})
        log = (tmp_path / "server.log").read_text()
        url = next(line.split()[-1] for line in log.splitlines() if line.startswith("listening on"))
        with SyncClient(url) as client:
            client.start("order", "lamp", id="o-1")
            database = sqlite3.connect(tmp_path / "s.db")
            assert database.execute("UPDATE events SET event = x'ffffff' WHERE seq = 0").rowcount == 1
            database.commit()
            database.close()
            shown = ask(page, "/saga?id=o-1").text
            assert "Damaged" in shown
            assert "event 0 can't be read" in shown.replace("&#39;", "'")
            client.handle("o-1").terminate("it can't be read")
    finally:
        server.stop()
