"""One line of the table: a small saga that ordinary users write, and what must be true when it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from durable_saga import SagaFunction, saga

ANY: Any = object()


@dataclass(frozen=True, slots=True)
class Told:
    """What a client does to the saga, `after` seconds from what it did before, or from the start: a signal, or "cancel" or
    "compensate". `once`: not before an effect of this label has begun."""

    name: str
    args: tuple[Any, ...] = ()
    after: float = 0.3
    verb: str = "signal"
    refused: bool = False
    """The client must be told that it can't be."""
    once: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """`status` as in an overview, or "blocked". `error` is (the end of) the type of what failed the saga. `undone` and
    `stands` name labels of effects, with blanks between. `attempts` is the most that one call may have in one life of its
    worker. `worker`: which one runs it ("shared"; "dies" and "freezes" for those that would do that to theirs).
    `runner`: why SagaTestRunner can't run it. `words` must stand in the saga's error, its reason for being
    blocked. `after_kill` are the other ends that it may have where its worker is killed. `check` looks at the rest."""

    name: str
    saga: Any
    args: tuple[Any, ...] = ()
    status: str = "completed"
    error: str = ""
    step_error: str = ""
    result: Any = ANY
    undone: str = ""
    stands: str = ""
    words: str = ""
    told: tuple[Told, ...] = ()
    attempts: int = 1
    worker: str = "shared"
    runner: str = ""
    kills: str = ""
    """Why it is not run while workers are killed."""
    after_kill: tuple[str, ...] = ()
    check: Callable[[Any], str] | None = field(default=None, compare=False)


class Table:
    """The entries of one module, and their sagas."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.sagas: list[Any] = []

    def entry(
        self, name: str, *args: Any, timeout: float | None = None, **options: Any
    ) -> Callable[[Callable[..., Any]], SagaFunction[..., Any]]:
        """The function below it is the saga of this entry."""

        def declare(function: Callable[..., Any]) -> SagaFunction[..., Any]:
            function.__name__ = function.__qualname__ = name
            made: SagaFunction[..., Any] = saga(timeout=timeout)(function)
            self.sagas.append(made)
            self.entries.append(Entry(name, made, args, **options))
            return made

        return declare
