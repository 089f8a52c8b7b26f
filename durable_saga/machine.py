"""The machine's own clock and dice, for the engine: once sagas run here, what stands under these names in `time` and `os` looks
each time whether it is called by saga code (`replay/stand_ins.py`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def _own(function: F) -> F:
    found: F = getattr(function, "__wrapped__", function)
    return found


class Machine:
    """Held by a class, which nothing looks through for functions to replace."""

    time_ns = staticmethod(_own(time.time_ns))
    monotonic = staticmethod(_own(time.monotonic))
