"""gRPC's health checks of a worker, by the standard stub."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
import time

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from durable_saga import SyncClient
from examples.demo.processes import free_address
from tests.integration.test_metrics import APP

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


def test_a_worker_says_whether_it_is_ready_and_alive_also_while_its_loop_is_blocked(tmp_path: pathlib.Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    server, url, address = None, free_address(), free_address()
    run = [sys.executable, "-u", "-m", "durable_saga"]
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen([*run, "worker", "app", "--url", url, "--health-grpc", address], cwd=tmp_path, stderr=log)
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(60)
            stub = HealthStub(channel)

            def is_so(service: str) -> int:
                return int(stub.Check(HealthCheckRequest(service=service), timeout=10).status)

            while (is_so(""), is_so("readiness"), is_so("liveness")) != (NOT_SERVING, NOT_SERVING, SERVING):
                time.sleep(0.1)  # the first address that it tries may have been given to somebody else meanwhile
            watched = stub.Watch(HealthCheckRequest())
            assert next(watched).status == NOT_SERVING
            journal = ["--journal", f"sqlite:///{tmp_path}/j.db", "--listen", url]
            server = subprocess.Popen([*run, "server", *journal], cwd=tmp_path)
            assert next(watched).status == SERVING
            assert is_so("readiness") == SERVING
            with SyncClient(url) as client:
                client.start("slow", id="s-1")
            assert next(watched).status == NOT_SERVING
            assert is_so("liveness") == SERVING
            assert next(watched).status == SERVING
            with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
                is_so("nobody")
    finally:
        for process in (worker, server):
            if process is not None:
                process.terminate()
                process.wait(60)


def test_an_address_that_can_not_be_had_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    wrong = {"nowhere": "--health-grpc is 'nowhere'", "203.0.113.1:1": "can't be listened on for health checks"}
    for address, text in wrong.items():
        command = [sys.executable, "-m", "durable_saga", "worker", "app", "--health-grpc", address]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode != 0
        assert re.search(re.escape(text), done.stderr), done.stderr
