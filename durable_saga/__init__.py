"""Durable sagas in ordinary async Python.

    from durable_saga import saga, step

    @step
    async def charge(order: Order) -> Receipt: ...

    @charge.compensation
    async def refund(order: Order, result: Receipt | None) -> None: ...

    @saga
    async def place_order(order: Order) -> Receipt:
        return await charge(order)

The layers, lower first: `pb` (the wire), `errors`, `retry` and `codec`, `definition`, `replay` (pure), then everything that
does I/O. A module imports from lower layers only.
"""

from durable_saga.authoring.compensation import compensation
from durable_saga.authoring.event_type import EventType, event_type
from durable_saga.authoring.fan_out import Outcomes, all_of
from durable_saga.authoring.inside import (
    SagaContext,
    continue_as_new,
    correlate,
    event,
    now,
    on_failure,
    pivot,
    saga_context,
    scope,
    set_attributes,
    signal,
    since,
    sleep,
    state,
    uuid4,
    wait_until,
)
from durable_saga.authoring.inside import (
    random as random,  # a public name, and no part of `import *`, where it would hide the module
)
from durable_saga.authoring.saga import SagaFunction, saga
from durable_saga.authoring.step import StepFunction, step
from durable_saga.authoring.step_context import StepContext, step_context
from durable_saga.client.builds import Build, RollOut
from durable_saga.client.client import Client, Handle
from durable_saga.client.connect import connect
from durable_saga.client.description import DescribedStep, Description, HistoryEvent, Identity, Rights
from durable_saga.client.listing import Listed, ListPage
from durable_saga.client.overview import Overview, Statistics, Waiting
from durable_saga.client.status import Status
from durable_saga.client.sync import SyncClient, SyncHandle
from durable_saga.declared.declarative import Parallel, Saga, SagaState, SagaStep, Step, SubSaga, WaitForEvent
from durable_saga.definition.retry import Retry
from durable_saga.errors import NotApplied
from durable_saga.failure_info import FailureInfo
from durable_saga.hooks import Call, Hook, hook
from durable_saga.manager.monitor import SagaMonitor
from durable_saga.manager.orchestrator import EventBus, SagaManager, SagaOrchestrator
from durable_saga.worker.lifespan import WorkerLifespan, worker_lifespan
from durable_saga.worker.worker import Worker

__all__ = [
    "Build",
    "Call",
    "Client",
    "DescribedStep",
    "Description",
    "EventBus",
    "EventType",
    "FailureInfo",
    "Handle",
    "HistoryEvent",
    "Hook",
    "Identity",
    "ListPage",
    "Listed",
    "NotApplied",
    "Outcomes",
    "Overview",
    "Parallel",
    "Retry",
    "Rights",
    "RollOut",
    "Saga",
    "SagaContext",
    "SagaFunction",
    "SagaManager",
    "SagaMonitor",
    "SagaOrchestrator",
    "SagaState",
    "SagaStep",
    "Statistics",
    "Status",
    "Step",
    "StepContext",
    "StepFunction",
    "SubSaga",
    "SyncClient",
    "SyncHandle",
    "WaitForEvent",
    "Waiting",
    "Worker",
    "WorkerLifespan",
    "all_of",
    "compensation",
    "connect",
    "continue_as_new",
    "correlate",
    "event",
    "event_type",
    "hook",
    "now",
    "on_failure",
    "pivot",
    "saga",
    "saga_context",
    "scope",
    "set_attributes",
    "signal",
    "since",
    "sleep",
    "state",
    "step",
    "step_context",
    "uuid4",
    "wait_until",
    "worker_lifespan",
]
