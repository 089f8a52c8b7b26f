"""What stands in for the machine's clock and dice: functions that give the saga's values while its code runs, and the machine's
otherwise.

They replace the functions where they stand, and wherever a loaded module or an object keeps one: `kept_names.py`. A
`random.Random()` without a seed is seeded by the saga, and a generator that lives when the first saga is about to run draws
from the saga's dice in its code; `secrets` and SystemRandom draw from `os.urandom`. `datetime.now()`: `calendar.py`.
"""

from __future__ import annotations

import _thread
import os
import random
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from durable_saga.errors import BlockingCall
from durable_saga.replay import calendar, kept_names
from durable_saga.replay.mark import Environment, mark, refusal

Inside = Callable[..., Any]
"""What is called in saga code: with the environment, then the arguments."""
_CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
_OF_TIME = {"gmtime": 0, "localtime": 0, "ctime": 0, "asctime": 0, "strftime": 1}
"""Functions that take the current time when an argument is left out, and its place."""
_BROKEN_DOWN = ("asctime", "strftime")


class StandIn:
    """One function. Not bound as a method where a class holds it, as a built-in is not."""

    def __init__(self, original: Callable[..., Any], inside: Inside) -> None:
        self.__wrapped__ = original
        self.inside = inside
        self.__name__ = self.__qualname__ = original.__name__
        self.__module__ = str(getattr(original, "__module__", None) or random.__name__)
        self.__doc__ = original.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        environment = mark.environment
        if environment is None:
            return self.__wrapped__(*args, **kwargs)
        return self.inside(environment, *args, **kwargs)

    def __reduce__(self) -> str:
        return self.__name__

    def __repr__(self) -> str:
        return f"<{self.__module__}.{self.__name__}, replayable in sagas>"


class SagaRandom(random.Random):
    """A generator that outlives sagas, such as the one behind the functions of `random`: what saga code draws from it comes
    from the saga's dice. Generators get this class while they live, so it has no state of its own."""

    def random(self) -> float:
        environment = mark.environment
        return super().random() if environment is None else environment.dice.machine().random()

    def getrandbits(self, k: int, /) -> int:
        environment = mark.environment
        return super().getrandbits(k) if environment is None else environment.dice.machine().getrandbits(k)

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        environment = mark.environment
        return super().gauss(mu, sigma) if environment is None else environment.dice.machine().gauss(mu, sigma)


def install() -> None:
    """Once per process."""
    made: dict[int, Any] = {}
    originals: list[Any] = []
    for module, name, inside in _table():
        original = getattr(module, name)
        originals.append(original)
        made[id(original)] = StandIn(original, inside)
        setattr(module, name, made[id(original)])
    for original, stand_in in calendar.install(StandIn):
        originals.append(original)
        made[id(original)] = stand_in
    kept_names.replace(made, originals)
    for generator in kept_names.generators():
        generator.__class__ = SagaRandom
    random.Random.seed = _seed  # type: ignore[method-assign]


def _table() -> list[tuple[Any, str, Inside]]:
    found: list[tuple[Any, str, Inside]] = [
        (time, "sleep", _refuse("time.sleep() stops every saga of this worker: write `await asyncio.sleep(...)`")),
        (os, "urandom", lambda environment, count: environment.dice.urandom(count)),
        (uuid, "uuid4", lambda environment: environment.dice.machine_uuid4()),
        (uuid, "uuid1", _refuse("uuid.uuid1() gives another value in every replay: use uuid4()")),
    ]
    for clock in _CLOCKS:
        found.append((time, clock, lambda environment, *_: environment.now()))
        found.append((time, f"{clock}_ns", lambda environment, *_: int(environment.now() * 1000) * 1_000_000))
    found += [(time, name, _of_time(name, place)) for name, place in _OF_TIME.items()]
    for name in ("start_new_thread", "start_joinable_thread"):
        if hasattr(_thread, name):
            found.append((_thread, name, _refuse_thread))
    hidden = random.random.__self__  # type: ignore[attr-defined]
    for name, value in vars(random).items():
        if getattr(value, "__self__", None) is hidden:
            found.append((random, name, _from_dice(name)))
    if hasattr(os, "getrandom"):
        found.append((os, "getrandom", lambda environment, size, flags=0: environment.dice.urandom(size)))
    return [one for one in found if hasattr(one[0], one[1])]


def _from_dice(name: str) -> Inside:
    def replayable(environment: Environment, *args: Any, **kwargs: Any) -> Any:
        return getattr(environment.dice.machine(), name)(*args, **kwargs)

    return replayable


def _of_time(name: str, place: int) -> Inside:
    return partial(_current_time, getattr(time, name), time.localtime if name in _BROKEN_DOWN else float, place)


def _current_time(
    original: Callable[..., Any], as_time: Callable[[float], Any], place: int, environment: Environment, *args: Any
) -> Any:
    if len(args) == place or args[place] is None:
        args = (*args[:place], as_time(environment.now()))
    return original(*args)


def _refuse(sentence: str) -> Inside:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise BlockingCall(sentence)

    return refuse


def _refuse_thread(*_: Any, **__: Any) -> NoReturn:
    raise refusal("starts a thread")


_seed_of = random.Random.seed


def _seed(self: random.Random, a: Any = None, version: int = 2) -> None:
    environment = mark.environment
    if a is None and environment is not None:
        a = environment.dice.machine().getrandbits(128)
    _seed_of(self, a, version)
