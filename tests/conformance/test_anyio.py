"""anyio's own tests in sagas: the same as on asyncio, and in every process. `make setup` fetches its source distribution."""

from __future__ import annotations

import importlib.metadata
import pathlib
import tarfile

import pytest

from tests.conformance.differences import ANYIO
from tests.conformance.playing import ROOT, play

TESTS_MIN = 450


@pytest.mark.timeout(900)
def test_anyios_own_tests_end_in_sagas_as_they_do_on_asyncio(tmp_path: pathlib.Path) -> None:
    name = f"anyio-{importlib.metadata.version('anyio')}"
    archive = ROOT / "var" / "sources" / f"{name}.tar.gz"
    assert archive.exists(), "anyio's source distribution is not here: make setup"
    with tarfile.open(archive) as sources:
        sources.extractall(tmp_path, filter="data")
    folder = str(tmp_path / name)
    played = play(lambda mode, out: ["-m", "tests.conformance.anyio_suite", mode, str(out), folder], tmp_path)
    assert len(played.plain) >= TESTS_MIN
    played.check(ANYIO)
