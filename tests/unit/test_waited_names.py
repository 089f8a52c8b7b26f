"""A mistyped signal is refused where the code of the saga is here and can be read; where it can't, every name goes."""

from __future__ import annotations

import importlib.util
import pathlib
import subprocess
import sys
from types import ModuleType

import pytest
from django.utils.functional import SimpleLazyObject

from durable_saga.authoring.waited_names import Waited, waited_names

HEAD = (
    "import durable_saga\nfrom durable_saga import event, saga, signal\nfrom durable_saga.authoring import inside\n"
    "from durable_saga import event as wait_for\n"
)


def loaded(folder: pathlib.Path, text: str) -> ModuleType:
    file = folder / "shop_code.py"
    file.write_text(HEAD + text)
    spec = importlib.util.spec_from_file_location("shop_code", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("async def f(): await event('paid', timeout=3)", {"paid"}),
        ("async def f(): return await signal(type=int, name='paid')", {"paid"}),
        ("async def f(): await wait_for('paid')\nasync def g(): await durable_saga.signal('a')", {"paid", "a"}),
        ("async def f(): await inside.event('paid')", {"paid"}),
        ("PAID = 'paid'\nasync def f(): await event(PAID)", {"paid"}),
        ("import enum\nclass E(enum.StrEnum):\n  PAID = 'paid'\nasync def f(): await event(E.PAID)", {"paid"}),
        ("async def f(handle): await handle.signal('mistyped')", set()),
        ("event_types = {'event': event}", None),
        ("async def f(n): await event(f'paid-{n}')", None),
        ("async def f(name): await event(name)", None),
        ("async def f(*names): await event(*names)", None),
        ("async def f():\n  from durable_saga import event\n  await event('paid')", None),
        ("later = wait_for", None),
    ],
)
def test_the_names_are_those_in_the_source_or_nobody_can_say(
    tmp_path: pathlib.Path, text: str, names: set[str] | None
) -> None:  # fmt: skip
    module = loaded(tmp_path, text)
    found = waited_names(
        {"shop_code": module, "sys": sys, "durable_saga.authoring.inside": sys.modules["durable_saga.authoring.inside"]}
    )
    assert found == (None if names is None else frozenset(names))


def test_a_module_without_source_says_nothing(tmp_path: pathlib.Path) -> None:
    module = loaded(tmp_path, "async def f(): await event('paid')")
    (tmp_path / "shop_code.py").unlink()
    assert waited_names({"shop_code": module}) is None


PROGRAM = """
import faulthandler
faulthandler.dump_traceback_later(45, exit=True)
import asyncio
from durable_saga import Worker, connect, event, saga
from durable_saga.errors import InvalidArgument

@saga
async def order() -> str:
    return await event("paid", type=str)

@order.signal
async def add(item: str) -> None: ...

async def main():
    async with connect("memory:") as client, Worker(client, sagas=[order]):
        handle = await client.start(order)
        for name in ("payed", "zzz"):
            try:
                await handle.signal(name, "x")
            except InvalidArgument as error:
                print(error)
        await client.handle(handle.id).signal("payed", "kept for nobody")
        await handle.signal("add", "lamp")
        await handle.signal("paid", "by card")
        print(await handle.result())

asyncio.run(main())
"""


def test_a_typed_handle_refuses_a_typo_and_says_what_was_meant(tmp_path: pathlib.Path) -> None:
    (tmp_path / "shop_main.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "shop_main.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    first, second, result = done.stdout.splitlines()
    assert "has no handler of a signal 'payed', and no code here waits for one of that name: did you mean 'paid'?" in first
    assert "there are add, paid" in second
    assert result == "by card"


def test_a_name_that_was_found_is_not_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def look() -> frozenset[str]:
        looks.append("all modules")
        return frozenset(("paid",))

    monkeypatch.setattr("durable_saga.authoring.waited_names.waited_names", look)
    waited = Waited()
    assert [waited.others("paid") for _ in range(1000)] == [None] * 1000
    assert len(looks) == 1
    assert waited.others("payed") == frozenset(("paid",))
    assert len(looks) == 2, "its module may have been loaded since"


def test_lazy_objects_of_a_module_are_not_woken(tmp_path: pathlib.Path) -> None:
    module = loaded(tmp_path, "async def f(): await event('paid')\n")
    vars(module)["settings"] = SimpleLazyObject(lambda: pytest.fail("it was loaded"))
    assert waited_names({"shop_code": module}) == frozenset(["paid"])
