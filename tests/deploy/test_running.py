"""The server of compose.yaml as a process here, on SQLite: with the certificates of secrets.sh, its access file, its health
check, and a worker and an admin who show theirs."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from examples.demo.processes import Process
from tests.deploy.test_files import COMPOSE, DEPLOY

APP = """
from durable_saga import saga, step

@step
async def greet(name: str) -> str:
    return f"hello {name}"

@saga
async def hello(name: str) -> str:
    return await greet(name)
"""


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("deploy") / "secrets"
    done = subprocess.run(
        ["sh", str(DEPLOY / "secrets.sh"), str(folder)], capture_output=True, text=True, timeout=60
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder / "access.toml").write_text((DEPLOY / "access.toml").read_text())
    return folder


def words_of(service: str, secrets: pathlib.Path, **changed: str) -> list[str]:
    """The command of a service, with this machine's files; options that are `changed` are left to the caller."""
    words = [word.replace("/run/secrets", str(secrets)) for word in COMPOSE["services"][service]["command"]]
    return [f"--{name}={changed[name]}" if (name := word[2:].partition("=")[0]) in changed else word for word in words]


@pytest.fixture(scope="module")
def port(secrets: pathlib.Path) -> Iterator[str]:
    journal = f"sqlite:///{secrets.parent / 'sagas.db'}"
    words = words_of("server", secrets, journal=journal, listen="0.0.0.0:0", advertise="")
    server = Process("server", ["-m", "durable_saga", *words], secrets.parent, "listening on")
    yield server.start({}).rpartition(":")[2]
    assert server.stop() == 0


def run(folder: pathlib.Path, *words: str, code: int = 0, **variables: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DURABLE_SAGA")}
    done = subprocess.run(
        [sys.executable, "-m", "durable_saga", *words], cwd=folder, capture_output=True, text=True, timeout=60,
        env=kept | {f"DURABLE_SAGA_{name}": value for name, value in variables.items()},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_health_check_of_the_file_finds_the_server(port: str, secrets: pathlib.Path) -> None:
    check = [word.replace("/run/secrets", str(secrets)) for word in COMPOSE["services"]["server"]["healthcheck"]["test"][2:]]
    words = [f"--url=grpcs://localhost:{port}" if word.startswith("--url") else word for word in check]
    assert run(secrets, *words) == f"localhost:{port} is serving\n"


def test_health_says_in_one_sentence_why_not(port: str, secrets: pathlib.Path) -> None:
    ca = str(secrets / "ca.pem")
    no_certificate = run(secrets, "health", "--url", f"grpcs://localhost:{port}", "--ca", ca, "--timeout", "3", code=1)
    nobody = run(secrets, "health", "--url", "127.0.0.1:9", "--timeout", "3", code=1)
    journal = run(secrets, "health", "--url", "sqlite:///sagas.db", code=1)
    started = (f"Error: localhost:{port} could not be asked: ", f"Error: localhost:{port} did not answer")
    assert no_certificate.startswith(started)
    assert nobody.startswith("Error: 127.0.0.1:9 could not be asked: UNAVAILABLE")
    assert journal == "Error: 'sqlite:///sagas.db' isn't the address of a server: give host:port, or grpcs://host:port\n"


def test_worker_and_admin_come_in_with_the_certificates_of_the_script(port: str, secrets: pathlib.Path) -> None:
    (secrets.parent / "app.py").write_text(APP)
    url = f"grpcs://localhost:{port}"
    words = ["app" if word == "shop.orders" else word for word in words_of("worker", secrets, url=url)]
    worker = Process("worker", ["-m", "durable_saga", *words], secrets.parent, "worker")
    try:
        worker.start({"PYTHONPATH": str(secrets.parent)})
        settings = COMPOSE["services"]["admin"]["environment"]
        variables = {
            name.removeprefix("DURABLE_SAGA_"): value.replace("/run/secrets", str(secrets)) for name, value in settings.items()
        } | {"URL": url}
        assert '"hello you"' in run(secrets, "start", "hello", "you", "--wait", **variables)
        assert "spiffe://shop/admin" in run(secrets, "whoami", **variables)
        theirs = variables | {"CERT": str(secrets / "worker.pem"), "KEY": str(secrets / "worker-key.pem")}
        assert "may not call List" in run(secrets, "list", code=1, **theirs)
    finally:
        worker.stop()
