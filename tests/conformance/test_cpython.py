"""CPython's own tests of asyncio, as this interpreter ships them, in sagas: the same as on asyncio, and in every process."""

from __future__ import annotations

import importlib.util
import pathlib

import pytest

from tests.conformance.differences import CPYTHON
from tests.conformance.playing import play

TESTS_MIN = 400


@pytest.mark.timeout(900)
def test_cpythons_own_tests_of_asyncio_end_in_sagas_as_they_do_on_asyncio(tmp_path: pathlib.Path) -> None:
    if importlib.util.find_spec("test") is None or importlib.util.find_spec("test.test_asyncio") is None:
        pytest.skip("this Python ships without its own tests (Debian: apt-get install libpython3-testsuite)")
    played = play(lambda mode, out: ["-m", "tests.conformance.cpython", mode, str(out)], tmp_path)
    assert len(played.plain) >= TESTS_MIN
    played.check(CPYTHON)
