"""As a person sets it up: real processes on one file, TLS, tokens from the command line, the audit log."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import click

from durable_saga.cli import main
from examples.demo.processes import Process
from tests.access.authority import Authority
from tests.page.test_guards import ask

APP = """
from durable_saga import saga, signal, step

@step
def greet(name: str) -> str:
    return f"hello {name}"

@saga
async def hello(name: str) -> str:
    return await greet(name)

@saga
async def waits() -> str:
    return await signal("go")
"""


def run(folder: pathlib.Path, *words: str, code: int = 0, **variables: str) -> str:
    environment = {"PATH": "", "HOME": str(folder), **{f"DURABLE_SAGA_{name}": value for name, value in variables.items()}}
    done = subprocess.run(
        [sys.executable, "-m", "durable_saga", *words], cwd=folder, capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def a_page_lets_in(folder: pathlib.Path, url: str, ca: Authority, token: str) -> None:
    words = ["page", url, "--sign-in", "--listen", "127.0.0.1:0", "--ca", ca.file]
    page = Process("page", ["-m", "durable_saga", *words], folder, "page on")
    try:
        at = page.start({})
        form = ask(at, "/login")
        entered = ask(at, "/login", {"form_token": form.form_token, "token": token}, cookie=form.cookie)
        assert entered.status == 303
        assert "Log out chief" in ask(at, "/", cookie=entered.cookie).text
    finally:
        assert page.stop() == 0


def in_file(folder: pathlib.Path, *tokens: str) -> list[str]:
    """Those whose secret stands in the journal."""
    data = (folder / "sagas.db").read_bytes() + (folder / "sagas.db-wal").read_bytes()
    return [token for token in tokens if token.split("_", 2)[2].encode() in data]


def test_a_server_beyond_loopback_with_tls_and_tokens_serves_those_who_have_one(tmp_path: pathlib.Path) -> None:
    ca = Authority(tmp_path)
    pair = ca.issue("server", ["localhost", "127.0.0.1"])
    (tmp_path / "app.py").write_text(APP)
    journal = f"sqlite:///{tmp_path}/sagas.db"
    create = ("token", "create", "--url", journal)
    admin = run(tmp_path, *create, "chief", "--role", "admin").strip()
    words = ["server", "--journal", journal, "--listen", "0.0.0.0:0", "--tokens"]
    words += ["--tls-cert", pair.cert, "--tls-key", pair.key]
    server = Process("server", ["-m", "durable_saga", *words], tmp_path, "listening on")
    port = server.start({}).rpartition(":")[2]
    url = f"grpcs://127.0.0.1:{port}"
    worker_token = run(tmp_path, "token", "create", "runner", "--role", "worker", "--saga-type", "hello", URL=url, CA=ca.file,
                       TOKEN=admin).strip()  # fmt: skip
    (file := tmp_path / "worker-token").write_text(worker_token)
    words = ["worker", "app:hello", "--url", url, "--ca", ca.file, "--token-file", str(file), "--processes", "2"]
    worker = Process("worker", ["-m", "durable_saga", *words], tmp_path, "worker")
    try:
        worker.start({"PYTHONPATH": str(tmp_path)})
        sender = run(tmp_path, *create, "web", "--role", "sender", "--role", "reader", "--days", "1").strip()

        def web(*words: str, code: int = 0) -> str:
            return run(tmp_path, *words, code=code, URL=url, CA=ca.file, TOKEN=sender)

        assert '"hello you"' in web("start", "hello", "you", "--wait")
        web("start", "waits", "--id", "w")
        assert "web may not call Terminate: that needs operator or admin" in web("terminate", "w", "--reason", "x", code=1)
        assert json.loads(web("whoami"))["rights"][0]["roles"] == ["reader", "sender"]
        assert "needs to know who calls" in run(tmp_path, "list", code=1, URL=url, CA=ca.file)

        def chief(*words: str) -> str:
            return run(tmp_path, *words, URL=url, CA=ca.file, TOKEN=admin)

        chief("terminate", "w", "--reason", "enough")
        listed = {one["name"]: one for one in map(json.loads, chief("token", "list").splitlines())}
        assert (listed["runner"]["made_by"], listed["runner"]["saga_types"]) == ("chief", ["hello"])
        assert listed["web"]["expires_ms"] > 0
        a_page_lets_in(tmp_path, url, ca, admin)
        chief("token", "revoke", listed["web"]["id"])
        assert "unknown, expired or revoked" in web("list", code=1)
        told = [json.loads(line) for line in chief("audit", "--saga", "w", "--since", "2026-01-01").splitlines()]
        assert [(one["who"], one["verb"]) for one in told] == [("chief", "Terminate"), ("web", "Start")]
        assert {one["outcome"] for one in told} == {"OK"}
        assert not in_file(tmp_path, admin, sender, worker_token)
    finally:
        worker.kill()
        assert server.stop() == 0
    logs = "".join(one.read_text() for one in tmp_path.glob("*.log"))
    assert "Traceback" not in logs


def test_an_access_file_that_is_misspelt_or_of_certificates_without_a_ca_stops_the_server(tmp_path: pathlib.Path) -> None:
    (file := tmp_path / "access.toml").write_text('[[grant]]\nsan = "a"\nroles = ["reader"]\nnamespaces = ["*"]\n')
    words = ("server", "--journal", "memory:", "--listen", "127.0.0.1:0", "--access", str(file))
    assert "give --client-ca" in run(tmp_path, *words, code=1)
    file.write_text("[jwks]\n")
    assert f"{file}: the file has 'jwks'" in run(tmp_path, *words, code=1)
    assert "go together" in run(tmp_path, *words[:5], "--tls-cert", str(file), code=1)
    assert "isn't a PEM file" in run(tmp_path, *words[:5], "--tls-cert", str(file), "--tls-key", str(file), code=1)
    assert os.listdir(tmp_path)


def test_keys_of_jwts_in_a_file_that_is_none_stop_the_server(tmp_path: pathlib.Path) -> None:
    """A service of keys may come later; a file is there when the server starts."""
    keys, file = tmp_path / "keys.json", tmp_path / "access.toml"
    file.write_text(f'[jwt]\nissuer = "https://login.example"\naudience = ["a"]\njwks = "{keys}"\n')
    words = ("server", "--journal", "memory:", "--listen", "127.0.0.1:0", "--access", str(file))
    assert f"the keys in {keys} can't be read: [Errno 2]" in run(tmp_path, *words, code=1)
    for content, told in (
        ("\0", "can't be read: Expecting value"),
        ("{}", "this isn't a JWKS"),
        ('{"keys": []}', "holds no key"),
    ):
        keys.write_text(content)
        said = run(tmp_path, *words, code=1)
        assert said.startswith("Error: [jwt]: ")
        assert str(keys) in said
        assert told in said


def test_no_command_has_an_option_twice() -> None:
    def look(command: click.Command, name: str) -> None:
        words = [word for param in command.params for word in param.opts]
        assert len(words) == len(set(words)), (name, words)
        for inner_name, inner in getattr(command, "commands", {}).items():
            look(inner, f"{name} {inner_name}")

    look(main, "durable-saga")


def test_dev_beyond_loopback_names_the_commands_that_have_tls(tmp_path: pathlib.Path) -> None:
    told = run(tmp_path, "dev", "--listen", "0.0.0.0:0", code=2)
    assert "`dev` has neither TLS nor identity: use `durable-saga server`, or --insecure" in told
    words = ["dev", "--listen", "127.0.0.1:0", "--page-listen", "0.0.0.0:0"]
    server = Process("server", ["-m", "durable_saga", *words], tmp_path, "no page:")
    try:
        server.start({})
    finally:
        assert server.stop() == 0
    assert "0.0.0.0:0 can be reached from other machines; use `durable-saga page`, which has TLS and logins" in "".join(
        one.read_text() for one in tmp_path.glob("*.log")
    )
