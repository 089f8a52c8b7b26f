"""`datetime.now()` and `datetime.utcnow()` in saga code: the saga's time, under whatever name the class was imported.

They are methods of a class in C, which Python does not let be assigned; their place in the class's own dict is taken instead.
`date.today()` and `datetime.today()` ask `time.time()`.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Any

from durable_saga.replay import kept_names
from durable_saga.replay.mark import Environment

NAMES = ("now", "utcnow")


def _now(environment: Environment, kind: Any, tz: tzinfo | None = None) -> Any:
    return kind.fromtimestamp(environment.now(), tz)


def _utcnow(environment: Environment, kind: Any) -> Any:
    return kind.fromtimestamp(environment.now(), UTC).replace(tzinfo=None)


def install(stand_in: Callable[[Any, Any], Any]) -> Iterator[tuple[Any, Any]]:
    """Gives what is kept of the originals, each with what stands in for it."""
    kept = kept_names.bound_to(datetime, frozenset(NAMES))
    names = next((one for one in gc.get_referents(vars(datetime)) if isinstance(one, dict)), None)
    if names is None:
        return
    for name, inside in zip(NAMES, (_now, _utcnow), strict=True):
        original = names[name]
        names[name] = classmethod(stand_in(original, inside))
        for one in kept:
            if one.__name__ == name:
                yield one, stand_in(one, partial(_of_datetime, inside))
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))


def _of_datetime(inside: Callable[..., Any], environment: Environment, *args: Any, **kwargs: Any) -> Any:
    return inside(environment, datetime, *args, **kwargs)
