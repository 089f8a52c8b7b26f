"""A real page beside a real server and a real worker, and the Chromium of the system in front of it."""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from durable_saga import SyncClient
from durable_saga.page.showing import in_words
from examples.demo.processes import Process, free_address

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 30


@dataclass
class Engine:
    """`url` is the server's, `page` the address of the page."""

    url: str
    page: str
    client: SyncClient
    folder: pathlib.Path

    def start(self, kind: str, *args: Any, id: str) -> str:
        return str(self.client.start(kind, *args, id=id).id)

    def status(self, saga: str) -> str:
        return in_words(self.client.handle(saga).describe().status.upper())


@pytest.fixture(scope="package")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("engine")
    url = free_address()
    command = ["-m", "durable_saga", "dev", "--file", str(folder / "sagas.db"), "--listen", url]
    server = Process("server", [*command, "--page-listen", "127.0.0.1:0"], folder, "page on")
    worker = Process("worker", ["-m", "durable_saga", "worker", "tests.page.sagas"], folder, "worker")
    try:
        worker.start({"DURABLE_SAGA_URL": url, "PAGE_TEST_FOLDER": str(folder)}, wait=False)
        address = server.start({})
        with SyncClient(url) as client:
            yield Engine(url, address, client, folder)
    finally:
        worker.kill()
        assert server.stop() == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of one module: while it is open, no other test can run a loop in this thread."""
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.fail("there is no browser: `make browser` installs Chromium as root on Debian", pytrace=False)
    with sync_playwright() as playwright:
        args = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=path, args=args)
        yield opened
        opened.close()


@pytest.fixture
def tab(browser: Browser, engine: Engine) -> Iterator[Page]:
    """A browser that was never here. Whatever its console says fails the test, except that a form was refused."""
    context = browser.new_context(base_url=engine.page)
    context.set_default_timeout(SECONDS * 1000)
    said: list[str] = []
    page = context.new_page()
    page.on("console", lambda one: said.append(one.text) if one.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    context.close()
    assert [text for text in said if "status of 400" not in text] == []
