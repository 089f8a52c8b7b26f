"""The pytest plugin: the fixture `saga_runner`, a SagaTestRunner of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from durable_saga.testing.runner import SagaTestRunner


@pytest.fixture
def saga_runner() -> Iterator[SagaTestRunner]:
    runner = SagaTestRunner()
    yield runner
    runner.reset()
