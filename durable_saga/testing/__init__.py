"""Tests of sagas: no server, virtual time, mocks with checked names, and every crash and failure tried."""

from durable_saga.testing.explore import Exploration, ScheduleFailed
from durable_saga.testing.faults import Faults
from durable_saga.testing.histories import replay_all
from durable_saga.testing.mocks import UnknownName, fails, returns
from durable_saga.testing.performing import InjectedFailure
from durable_saga.testing.results import SagaResult
from durable_saga.testing.runner import SagaTestRunner

__all__ = [
    "Exploration",
    "Faults",
    "InjectedFailure",
    "SagaResult",
    "SagaTestRunner",
    "ScheduleFailed",
    "UnknownName",
    "fails",
    "replay_all",
    "returns",
]
