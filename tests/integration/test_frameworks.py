"""The services of docs/frameworks.md, with the real frameworks."""

from __future__ import annotations

import hmac
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.test import Client as DjangoClient
from fastapi.testclient import TestClient

from durable_saga import errors
from examples.django_shop import engine
from examples.fastapi_shop.application import app
from examples.fastapi_shop.failures import answer

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXCERPT = re.compile(r"<!-- not run: an excerpt of (\S+) -->\n```python\n(.*?)```", re.DOTALL)
SECRET = "of the provider"
SECONDS_MAX = 30.0
KETTLE = {"item": "kettle", "amount": 40}


@pytest.fixture
def shop(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("DURABLE_SAGA_URL", f"sqlite:///{tmp_path / 'orders.db'}")
    monkeypatch.setenv("PAYMENTS_SECRET", SECRET)
    with TestClient(app) as client:
        yield client


def pay(shop: TestClient, order: str, message: str, secret: str = SECRET) -> int:
    body = json.dumps({"id": message, "order": order, "reference": f"p-{message}"}).encode()
    signature = hmac.new(secret.encode(), body, "sha256").hexdigest()
    return shop.post("/webhooks/payments", content=body, headers={"X-Signature": signature}).status_code


def until(order: str, status: str, get: Any) -> dict[str, Any]:
    end = time.monotonic() + SECONDS_MAX
    while (found := get(f"/orders/{order}").json())["status"] != status:
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return dict(found)


def test_fastapi_starts_an_order_once_and_a_webhook_pays_it_once(shop: TestClient) -> None:
    first = shop.put("/orders/o-1", json=KETTLE)
    assert (first.status_code, first.headers["Location"], first.json()) == (202, "/orders/o-1", {"id": "o-1"})
    assert shop.put("/orders/o-1", json=KETTLE).status_code == 200
    assert shop.put("/orders/o-1", json={"item": "pan", "amount": 40}).status_code == 409
    assert [pay(shop, "o-1", "m-1") for _ in range(2)] == [204, 204]
    assert until("o-1", "completed", shop.get)["done"] == ["reserve", "ship"]
    assert pay(shop, "o-1", "m-2") == 204


def test_fastapi_tells_progress_until_the_order_has_ended(shop: TestClient) -> None:
    shop.put("/orders/o-2", json=KETTLE)
    assert pay(shop, "o-2", "m-1") == 204
    told = shop.get("/orders/o-2/progress")
    assert told.headers["Content-Type"].startswith("text/event-stream")
    events = [json.loads(one.removeprefix("data: ")) for one in told.text.split("\n\n") if one]
    assert events[-1] == {"id": "o-2", "status": "completed", "step": None, "done": ["reserve", "ship"]}
    assert len({json.dumps(one) for one in events}) == len(events)


def test_fastapi_undoes_what_was_cancelled_and_what_failed(shop: TestClient) -> None:
    shop.put("/orders/o-3", json=KETTLE)
    shop.put("/orders/o-4", json={"item": "unicorn", "amount": 1})
    assert shop.delete("/orders/o-3").status_code == 202
    assert pay(shop, "o-4", "m-1") == 204
    until("o-3", "cancelled", shop.get)
    until("o-4", "compensated", shop.get)
    assert shop.delete("/orders/o-3").status_code == 409


def test_fastapi_answers_what_is_wrong_with_its_status(shop: TestClient) -> None:
    assert shop.get("/orders/nobody").status_code == 404
    assert shop.get("/orders/nobody/progress").status_code == 404
    assert pay(shop, "nobody", "m-1") == 404
    assert pay(shop, "nobody", "m-1", secret="forged") == 401
    assert shop.put("/orders/o-5", json={"item": "kettle", "amount": 0}).status_code == 422


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (errors.Unavailable("no server"), 503, "2"),
        (errors.Exhausted("full", 7.2), 503, "8"),
        (errors.NotKnown("no token"), 500, None),
        (errors.InvalidArgument("no"), 422, None),
        (errors.SagaFailed("o-1"), 500, None),
    ],
)
def test_every_error_of_a_client_has_a_status(error: errors.ClientError, status: int, retry_after: str | None) -> None:
    told = answer(None, error)  # type: ignore[arg-type]  # the request is not looked at
    assert (told.status_code, told.headers.get("Retry-After")) == (status, retry_after)
    assert (str(error).encode() in told.body) == (status < 500)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A history server on a file, and Django's worker beside it."""
    file = tmp_path_factory.mktemp("django") / "orders.db"
    begun: list[subprocess.Popen[str]] = []

    def begin(*command: str, **variables: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, env=os.environ | variables, stdout=subprocess.PIPE, text=True
        )
        begun.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip()

    said = begin("durable_saga", "server", "--journal", f"sqlite:///{file}", "--listen", "127.0.0.1:0")
    url = said.removeprefix("listening on ")
    variables = {"DURABLE_SAGA_URL": url, "DJANGO_SETTINGS_MODULE": "examples.django_shop.settings"}
    assert begin("django", "saga_worker", **variables).startswith("worker ")
    os.environ.update(variables)
    yield url
    engine.client().close()
    for process in reversed(begun):
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS_MAX) == 0
        assert process.stdout is not None
        process.stdout.close()
    for name in variables:
        del os.environ[name]


def test_django_starts_an_order_once_and_its_worker_ends_it(server: str) -> None:
    django.setup()
    client = DjangoClient()

    def put(order: str, **asked: Any) -> int:
        return client.put(f"/orders/{order}", json.dumps(asked), content_type="application/json").status_code

    assert [put("o-1", **KETTLE) for _ in range(2)] == [202, 200]
    assert put("o-1", item="pan", amount=40) == 409
    assert put("o-2", item="yacht", amount=900) == 202
    until("o-1", "completed", client.get)
    assert until("o-2", "compensated", client.get)["undone"] == ["reserve"]
    assert client.get("/orders/nobody").status_code == 404
    assert client.delete("/orders/o-1").status_code == 405


def test_the_excerpts_of_the_page_are_the_code_that_runs() -> None:
    found = EXCERPT.findall((ROOT / "docs" / "frameworks.md").read_text())
    assert len(found) > 5
    assert [file for file, text in found if text not in (ROOT / file).read_text()] == []
