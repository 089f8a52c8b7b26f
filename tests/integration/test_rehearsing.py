"""Open sagas against code that is to be deployed, as a person and a pipeline do it: a real server, a worker, and modules."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from durable_saga.errors import InvalidArgument
from durable_saga.recorded import read_history
from durable_saga.testing import SagaTestRunner
from examples.demo.processes import Process

SHOP = """
from durable_saga import saga, signal, since, step

@step
async def reserve(item: str) -> str:
    return item

@step
async def charge(item: str) -> str:
    return item

@step
async def check(item: str) -> str:
    return item

@saga{options}
async def order(item: str) -> str:
    {first}
    {second}
    await signal("go")
    return item
"""
RESERVE, CHARGE = "await reserve(item)", "await charge(item)"
FIRST = SHOP.format(options="", first=RESERVE, second=CHARGE)
FITS = SHOP.format(options="(version=2)", first=f"{RESERVE}\n    if since(2):\n        await check(item)", second=CHARGE)
SWAPPED = SHOP.format(options="", first=CHARGE, second=RESERVE)
ORDERS = 12
USE = """
import shop_fits, shop_swapped
import pytest

def test_recorded(replay_histories):
    assert replay_histories("kept", shop_fits.order) == 1
    with pytest.raises(AssertionError, match="1 of 1 histories don't fit the code"):
        replay_histories("kept", shop_swapped.order)
    with pytest.raises(Exception, match="there are no files"):
        replay_histories("nowhere", shop_fits.order)
"""


def cli(folder: pathlib.Path, url: str, *words: str, code: int = 0) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "durable_saga", *words], cwd=folder, capture_output=True, text=True, timeout=60,
        env={"DURABLE_SAGA_URL": url, "PATH": "", "HOME": str(folder), "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def url(tmp_path: pathlib.Path) -> Iterator[str]:
    """Of a server with twelve open orders that a worker of the first code has begun, and with one that has not begun."""
    for name, text in (("first", FIRST), ("fits", FITS), ("swapped", SWAPPED)):
        (tmp_path / f"shop_{name}.py").write_text(text)
    command = ["-m", "durable_saga", "dev", "--file", f"{tmp_path}/d.db", "--listen", "127.0.0.1:0"]
    server = Process("server", command, tmp_path, "listening on")
    address = server.start({})
    worker = Process("worker", ["-m", "durable_saga", "worker", "shop_first"], tmp_path, "worker")
    try:
        worker.start({"DURABLE_SAGA_URL": address, "PYTHONPATH": str(tmp_path)})
        for number in range(ORDERS):
            cli(tmp_path, address, "start", "order", f"lamp {number}", "--id", f"o-{number}")
        for number in range(ORDERS):
            _begun(tmp_path, address, f"o-{number}")
        assert worker.stop() == 0
        cli(tmp_path, address, "start", "order", "late", "--id", "late")
        yield address
    finally:
        worker.stop()
        assert server.stop() == 0


def _begun(folder: pathlib.Path, url: str, saga: str) -> None:
    for _ in range(60):
        steps = json.loads(cli(folder, url, "describe", saga)[0])["steps"]
        if [one["state"] for one in steps] == ["done", "done"]:
            return
    raise AssertionError(f"{saga} did not begin")


def test_a_rehearsal_finds_what_would_not_go_on(tmp_path: pathlib.Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = cli(tmp_path, url, "rehearse", "shop_fits", "--record", "kept")
    assert json.loads(out) == {
        "replayed": ORDERS + 1, "misfits": 0, "sealed": 0,
        "versions": [{"type": "order", "version": 0, "open": 1}, {"type": "order", "version": 1, "open": ORDERS}],
    }  # fmt: skip
    out, _ = cli(tmp_path, url, "rehearse", "shop_swapped", code=1)
    *found, last = map(json.loads, out.splitlines())
    assert {one["id"] for one in found} == {f"o-{number}" for number in range(ORDERS)}
    assert all("shop_swapped.py:18 in order: the history holds step scheduled 'reserve'" in one["why"] for one in found)
    assert last["misfits"] == ORDERS
    assert json.loads(cli(tmp_path, url, "rehearse", "shop_fits", "--limit", "3")[0])["replayed"] == 3
    tenth = json.loads(cli(tmp_path, url, "rehearse", "shop_fits", "--share", "30%")[0])["replayed"]
    assert 0 < tenth < ORDERS
    for wrong in ("0", "120%", "all"):
        assert "is no share" in cli(tmp_path, url, "rehearse", "shop_fits", "--share", wrong, code=2)[1]
    assert "has no saga 'ordr'" in cli(tmp_path, url, "rehearse", "shop_fits", "--type", "ordr", code=1)[1]
    _recorded_ones_are_tests(tmp_path, monkeypatch)


def _recorded_ones_are_tests(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`late` has not begun, so its shape is one of its own; it is sure to fit."""
    kept = sorted((folder / "kept").glob("*.history"))
    assert sorted(len(read_history(one)) for one in kept)[0] == 1
    assert len(kept) == 2
    assert all(one.stat().st_mode & 0o077 == 0 for one in kept)
    for one in kept:
        if len(read_history(one)) == 1:
            one.unlink()
    (folder / "test_use.py").write_text(USE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_use.py"], cwd=folder, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(str(folder))
    import shop_fits  # type: ignore[import-not-found]  # written above

    left = next((folder / "kept").glob("*.history"))
    SagaTestRunner().replay(shop_fits.order, left)
    cut = folder / "cut.history"
    cut.write_bytes(left.read_bytes()[:-3])
    with pytest.raises(InvalidArgument, match="isn't a recorded history"):
        SagaTestRunner().replay(shop_fits.order, cut)
