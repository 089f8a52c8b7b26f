"""Futures and tasks of a saga that asyncio makes otherwise than through the loop: their place in a set is the same everywhere.

`asyncio.Future()` and `asyncio.Task()` give the loop's own futures and tasks while a saga's loop runs, also under names that a
module imported before; a `gather()`, and a class derived from asyncio.Future, count where they are first hashed. A set is
walked through in an order that follows from what was put into it, in which order: `asyncio.all_tasks()` makes its set from one
that all loops of a process share, so a saga's is made again.
"""

from __future__ import annotations

import asyncio
import asyncio.tasks
import functools
from typing import Any

from durable_saga.replay import kept_names
from durable_saga.replay.loop import SagaLoop
from durable_saga.replay.running_loop import running_loop

plain_future: Any = asyncio.Future
plain_task: Any = asyncio.Task
plain_all_tasks: Any = asyncio.all_tasks


class _Kind(type):
    """Of a class that stands for another: what that one says of instances and subclasses holds for it."""

    stands_for: Any

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if "stands_for" not in vars(cls):
            return super().__call__(*args, **kwargs)  # a class that was derived from it
        loop = kwargs.get("loop") or running_loop()
        if not isinstance(loop, SagaLoop):
            return cls.stands_for(*args, **kwargs)
        kwargs.pop("loop", None)
        return loop.create_future(*args, **kwargs) if cls.stands_for is plain_future else loop.create_task(*args, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.stands_for) if "stands_for" in vars(cls) else super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: Any) -> bool:
        return issubclass(subclass, cls.stands_for) if "stands_for" in vars(cls) else super().__subclasscheck__(subclass)


def _hash(future: Any) -> int:
    loop = future.get_loop()
    if not isinstance(loop, SagaLoop):
        return object.__hash__(future)
    place: int | None = getattr(future, "_saga_place", None)
    if place is None:
        place = future._saga_place = loop.next_place()
    return place


class Future(plain_future, metaclass=_Kind):  # type: ignore[misc]  # it is asyncio.Future
    stands_for = plain_future
    __hash__ = _hash


class Task(plain_task, metaclass=_Kind):  # type: ignore[misc]  # it is asyncio.Task
    stands_for = plain_task
    __hash__ = _hash


@functools.wraps(plain_all_tasks)
def all_tasks(loop: asyncio.AbstractEventLoop | None = None) -> set[asyncio.Task[Any]]:
    found: set[asyncio.Task[Any]] = plain_all_tasks(loop)
    if not isinstance(loop or running_loop(), SagaLoop):
        return found
    in_order = sorted(found, key=lambda task: (hash(task), getattr(task, "birth", 0)))
    return set(in_order)


def install() -> None:
    """Once per process."""
    for kind, name in ((Future, "Future"), (Task, "Task")):
        kind.__module__, kind.__name__, kind.__qualname__ = "asyncio", name, name
        kind.__doc__ = kind.stands_for.__doc__
        setattr(asyncio, name, kind)
    asyncio.all_tasks = asyncio.tasks.all_tasks = all_tasks
    made = {id(plain_future): Future, id(plain_task): Task, id(plain_all_tasks): all_tasks}
    kept_names.in_modules(made, but=("asyncio", "_asyncio", "concurrent.", "uvloop", "durable_saga."))
    asyncio.tasks._GatheringFuture.__hash__ = _hash  # type: ignore[attr-defined]
