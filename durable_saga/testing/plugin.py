"""The pytest plugin: the fixtures `saga_runner`, a SagaTestRunner of its own for each test, and `replay_histories`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from durable_saga.declared.declarative import AnySaga
from durable_saga.testing.histories import replay_all
from durable_saga.testing.runner import SagaTestRunner


@pytest.fixture
def saga_runner() -> Iterator[SagaTestRunner]:
    runner = SagaTestRunner()
    yield runner
    runner.reset()


@pytest.fixture
def replay_histories() -> Callable[..., int]:
    """`replay_histories("tests/histories", place_order, ship)`: the recorded histories of a folder by today's code."""

    def replay(folder: str | os.PathLike[str], *sagas: AnySaga) -> int:
        return replay_all(folder, *sagas)

    return replay
