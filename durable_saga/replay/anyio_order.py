"""anyio keeps the child scopes of a scope in a set ordered by address, and cancels in that order: another one in every process.

A scope that is hosted by a saga's task hashes by that task's birth instead. Scopes of other tasks hash as before. A scope is
in such a set only while it has a host, so its hash does not change while it is in one.
"""

from __future__ import annotations

from typing import Any

from anyio._backends import _asyncio as backend

from durable_saga.replay.loop import SagaTask


def install() -> None:
    """Once per process, when the core is imported."""
    backend.CancelScope.__hash__ = _hash  # type: ignore[assignment, method-assign]


def _hash(scope: Any) -> int:
    host = scope._host_task
    return hash(host) if isinstance(host, SagaTask) else object.__hash__(scope)
