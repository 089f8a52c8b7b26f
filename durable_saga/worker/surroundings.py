"""What a run needs of the worker that it is with."""

from __future__ import annotations

from typing import Any, Protocol

from durable_saga.clock import Chance
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.worker.arrivals import Reader
from durable_saga.worker.attempts import Executor
from durable_saga.worker.blocked import BlockedSagas
from durable_saga.worker.catalogue import Catalogue
from durable_saga.worker.links import Stream
from durable_saga.worker.served_clock import ServedClock


class Surroundings(Reader, Protocol):
    """`flush_soon()` and `forget()` are told the run."""

    @property
    def activation_seconds_max(self) -> float: ...

    @property
    def blocked(self) -> BlockedSagas: ...

    @property
    def build(self) -> str: ...

    @property
    def catalogue(self) -> Catalogue: ...

    @property
    def chance(self) -> Chance: ...

    @property
    def clock(self) -> ServedClock: ...

    @property
    def executor(self) -> Executor: ...

    @property
    def is_crowded(self) -> bool: ...

    def is_type_paused(self, saga_type: str, /) -> bool: ...

    def send(self, key: h.RunKey, item: w.WorkerItem, /) -> Stream | None: ...

    def next_request(self) -> int: ...

    def flush_soon(self, run: Any, /) -> None: ...

    def forget(self, run: Any, /) -> None: ...
