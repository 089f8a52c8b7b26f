"""Keeps saga code away from what replay can't repeat: files, sockets, threads, processes, the machine's clock and dice.

One audit hook for the process, made when the first saga runs, looks at a thread-local mark: outside saga code it costs one
attribute. Imports are let through (they open files, once per process, and are no effect of the saga).
`time.time`, the functions of `random` and `uuid.uuid4` give the saga's values while its code runs, and their own otherwise.
`datetime.now()` can't be reached this way; `durable-saga check` finds it.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from durable_saga.errors import BlockingCall


class Environment(Protocol):
    """What stands in for the machine while saga code runs."""

    random: random.Random

    def now(self) -> float:
        """Unix time in seconds."""


class _Mark(threading.local):
    environment: Environment | None = None
    importing: int = 0


_mark = _Mark()
_install_once = threading.Lock()
_installed = False
_REFUSED = {
    "open": "reads or writes a file",
    "os.remove": "removes a file",
    "os.rename": "renames a file",
    "os.mkdir": "makes a folder",
    "os.rmdir": "removes a folder",
    "os.listdir": "lists a folder",
    "os.scandir": "lists a folder",
    "os.system": "starts a process",
    "os.exec": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.fork": "starts a process",
    "subprocess.Popen": "starts a process",
    "socket.connect": "connects a socket",
    "socket.bind": "binds a socket",
    "socket.getaddrinfo": "looks up a host name",
    "socket.sendto": "sends to a socket",
    "sqlite3.connect": "opens a database",
    "_thread.start_new_thread": "starts a thread",
}


class guarded:  # noqa: N801  # it reads as a verb: `with guarded(...)`
    """Saga code runs in here. May be nested; raises nothing by itself."""

    __slots__ = ("_before", "_environment")

    def __init__(self, environment: Environment) -> None:
        if not _installed:
            _install()
        self._environment = environment

    def __enter__(self) -> None:
        self._before = _mark.environment
        _mark.environment = self._environment

    def __exit__(self, *_: object) -> None:
        _mark.environment = self._before


def refuse_in_sagas(owner: Any, name: str, sentence: str) -> None:
    """Let a function of another library say this sentence where saga code calls it, by BlockingCall."""
    _wrap(owner, name, _refuse(sentence))


def outside() -> None:
    """This thread runs no saga code, whatever was cut short."""
    _mark.environment = None


def inside() -> bool:
    """Whether this thread runs saga code."""
    return _mark.environment is not None


def _install() -> None:
    global _installed
    with _install_once:
        if not _installed:
            sys.addaudithook(_audit)
            _replace_clock_and_dice()
            _installed = True


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _mark.environment is None:
        return
    what = _REFUSED.get(event)
    if what is None or _is_import():
        return
    subject = f" ({arguments[0]!r})" if arguments and isinstance(arguments[0], str) else ""
    raise BlockingCall(f"saga code {what}{subject}: it is replayed after a crash, so do this in a @step")


def _is_import() -> bool:
    """Whether the import system, or Python's printing of a traceback, is what asks."""
    frame = sys._getframe(2)
    for _ in range(60):
        if frame is None:
            return False
        if frame.f_globals.get("__name__", "").startswith(("importlib._bootstrap", "linecache", "traceback", "tokenize")):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _replace_clock_and_dice() -> None:
    """Wrap the module functions once; outside saga code they are what they were."""
    _wrap(time, "time", lambda environment, *_: environment.now())
    _wrap(time, "time_ns", lambda environment, *_: int(environment.now() * 1000) * 1_000_000)
    _wrap(time, "monotonic", lambda environment, *_: environment.now())
    _wrap(time, "perf_counter", lambda environment, *_: environment.now())
    _wrap(time, "sleep", _refuse("time.sleep() stops every saga of this worker: write `await asyncio.sleep(...)`"))
    _wrap(os, "urandom", lambda environment, count: environment.random.randbytes(count))
    _wrap(uuid, "uuid4", lambda environment: uuid.UUID(int=environment.random.getrandbits(128), version=4))
    _wrap(uuid, "uuid1", _refuse("uuid.uuid1() is another value in every replay: use uuid4()"))
    names = (
        "random",
        "randint",
        "randrange",
        "choice",
        "choices",
        "shuffle",
        "sample",
        "uniform",
        "gauss",
        "getrandbits",
    )
    for name in names:
        _wrap(random, name, _from_random(name))


def _from_random(name: str) -> Callable[..., Any]:
    def replayable(environment: Environment, *args: Any, **kwargs: Any) -> Any:
        return getattr(environment.random, name)(*args, **kwargs)

    return replayable


def _refuse(sentence: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise BlockingCall(sentence)

    return refuse


def _wrap(module: Any, name: str, inside: Callable[..., Any]) -> None:
    original = getattr(module, name)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        environment = _mark.environment
        return original(*args, **kwargs) if environment is None else inside(environment, *args, **kwargs)

    wrapper.__name__ = wrapper.__qualname__ = name
    wrapper.__doc__ = original.__doc__
    wrapper.__wrapped__ = original  # type: ignore[attr-defined]
    setattr(module, name, wrapper)
