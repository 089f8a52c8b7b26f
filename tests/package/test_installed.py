"""The wheel in clean environments: every module can be imported, a saga runs, and an extra that is missing is one sentence."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.package.environments import Environment

IMPORT_ALL = """
import importlib, json, pkgutil, sys
import durable_saga, durable_saga_server
names = [
    one.name
    for package in (durable_saga, durable_saga_server)
    for one in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    if not one.name.endswith((".testing.plugin", ".__main__"))  # pytest loads the one, and the other is the command
]
for name in names:
    importlib.import_module(name)
print(json.dumps([durable_saga.__file__, durable_saga_server.__file__, len(names)]))
"""
SAGA = """
import asyncio
from durable_saga import Worker, connect, saga, step

@step
async def reserve(order: str) -> str:
    return f"reservation of {order}"

@reserve.compensation
async def unreserve(order: str, result: str | None) -> None:
    print("undo", result)

@saga
async def place_order(order: str, fails: bool) -> str:
    reserved = await reserve(order)
    if fails:
        raise ValueError("over the limit")
    return reserved

async def main() -> None:
    async with connect("sqlite:///orders.db") as client, Worker(client, sagas=[place_order]):
        for order, fails in (("a", False), ("b", True)):
            handle = await client.start(place_order, order, fails, id=order)
            print(order, await asyncio.gather(handle.result(timeout=20), return_exceptions=True))

asyncio.run(main())
"""


@pytest.mark.timeout(400)
def test_every_module_can_be_imported_with_every_extra(whole: Environment) -> None:
    sdk, server, count = json.loads(whole.run("python", "-W", "error", "-c", IMPORT_ALL).stdout)
    assert str(whole.python.parent.parent) in sdk
    assert str(whole.python.parent.parent) in server
    assert count > 100


@pytest.mark.timeout(400)
def test_the_front_door_and_the_command_need_no_extra(bare: Environment) -> None:
    bare.run(
        "python",
        "-W",
        "error",
        "-c",
        "import durable_saga, durable_saga.client.sync, durable_saga.testing, durable_saga.sealing",
    )
    told = bare.run("durable-saga", "--help").stdout
    assert all(f"\n  {name} " in told for name in ("dev", "server", "worker", "start", "describe", "schema", "page"))
    assert bare.run("durable-saga", "--version").stdout.startswith("durable-saga, version ")


def run_the_saga(environment: Environment, url: str) -> None:
    program = environment.folder / "orders.py"
    program.write_text(SAGA.replace("sqlite:///orders.db", url))
    assert environment.run("python", "-W", "error", program.name).stdout.splitlines() == [
        "a ['reservation of a']", "undo reservation of b",
        "b [SagaCompensated('b', 'failed, and what it had done was undone: reserve')]",
    ]  # fmt: skip


def test_a_saga_runs_and_is_undone_without_any_extra(bare: Environment) -> None:
    run_the_saga(bare, "sqlite:///orders.db")


@pytest.mark.timeout(400)
def test_a_server_and_a_saga_run_on_the_oldest_protobuf_and_grpcio(oldest: Environment) -> None:
    command = [
        str(oldest.python.with_name("durable-saga")),
        "server",
        "--journal",
        "sqlite:///sagas.db",
        "--listen",
        "127.0.0.1:0",
    ]
    with subprocess.Popen(command, cwd=oldest.folder, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            run_the_saga(oldest, server.stdout.readline().strip().removeprefix("listening on "))
        finally:
            server.terminate()
    assert server.returncode == 0


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("schema apply --journal cassandra://c1/sagas", "cassandra"),
        ("describe order-7 --url cassandra://c1/sagas", "cassandra"),
        ("token create deploy --role admin --url cassandra://c1/sagas", "cassandra"),
        ("server --journal sqlite:///orders.db", "server"),
        ("dev", "server"),
        ("page", "page"),
    ],
)
def test_an_extra_that_is_missing_is_one_sentence(command: str, extra: str, bare: Environment) -> None:
    told = bare.run("durable-saga", *command.split(), status=1).stderr
    assert told.startswith("Error: ")
    assert told.count("\n") == 1
    assert f"pip install 'durable-saga[{extra}]'" in told
