"""The name of a build: given, or made from the files, alike for like files."""

from __future__ import annotations

import asyncio
import pathlib
import subprocess
import sys

import pytest

from durable_saga import Worker, connect, saga
from durable_saga.pb.limits import BUILD_CHARACTERS_MAX
from durable_saga.worker.build import BUILD_VARIABLE, build_of

SCRIPT = "import sys; sys.path.insert(0, sys.argv[1])\nimport shop.orders\nfrom durable_saga.worker.build import build_of\n"
SCRIPT += "print(build_of([shop.orders.order]))"
ORDERS = "from durable_saga import saga\nfrom shop.steps import CODE\n@saga\nasync def order() -> int:\n    return CODE\n"


@saga
async def first() -> None: ...


@saga(name="first")
async def another() -> None: ...


def package(folder: pathlib.Path, code: int) -> pathlib.Path:
    (folder / "shop").mkdir(parents=True)
    (folder / "shop" / "__init__.py").write_text("")
    (folder / "shop" / "steps.py").write_text(f"CODE = {code}\n")
    (folder / "shop" / "orders.py").write_text(ORDERS)
    return folder


def told(folder: pathlib.Path) -> str:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(folder)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_like_files_have_the_same_name_and_another_file_of_the_package_makes_another(tmp_path: pathlib.Path) -> None:
    one, same, changed = (package(tmp_path / name, code) for name, code in (("a", 1), ("b", 1), ("c", 2)))
    assert told(one) == told(same) != told(changed)


def test_what_was_installed_tells_its_version_too(tmp_path: pathlib.Path) -> None:
    folder = package(tmp_path, 1)
    beside = told(folder)
    (folder / "shop-1.4.2.dist-info").mkdir()
    (folder / "shop-1.4.2.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.4.2\n")
    (folder / "shop-1.4.2.dist-info" / "top_level.txt").write_text("shop\n")
    assert told(folder) == f"1.4.2+{beside}"


def test_a_given_name_counts_before_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BUILD_VARIABLE, "from-outside")
    assert build_of([first]) == "from-outside"
    assert build_of([first], "2026-11-28.1") == "2026-11-28.1"
    monkeypatch.setenv(BUILD_VARIABLE, "")
    assert build_of([first]) not in ("", "from-outside")


def test_other_code_of_one_saga_in_one_process_has_another_name() -> None:
    assert build_of([first]) == build_of([first]) != build_of([another])
    assert build_of([another]) == build_of([another])


@pytest.mark.parametrize("name", ["", " b", "b\n", "b\u202e", "b" * (BUILD_CHARACTERS_MAX + 1), 7])
def test_a_name_that_can_not_be_shown_is_refused(name: str) -> None:
    async def play() -> None:
        async with connect("memory:") as client:
            with pytest.raises(ValueError, match="build is"):
                Worker(client, sagas=[first], build=name)

    asyncio.run(play())
