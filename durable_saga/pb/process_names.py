"""Names of workers that tell which process they are, so that a server on the same machine knows at once of one that is gone.

`host/pid/mark-random`: `mark` stands for this boot of this machine and its space of process ids (of a container). A name with
another mark, or of another form, is of a process of which nothing is known here, and so is a number that another process has
by now: those are given the time of their lease. Only Linux tells the mark.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import socket
from functools import lru_cache

_MARK_CHARACTERS = 8


def new_name(random: bytes) -> str:
    """For a worker of this process. `random`: 4 bytes or more that nobody else has."""
    return f"{socket.gethostname()}/{os.getpid()}/{_mark()}-{random.hex()[:8]}"


def is_gone(name: str) -> bool:
    """Whether the process of this worker has surely ended."""
    host, _, rest = name.partition("/")
    pid, _, last = rest.partition("/")
    mark = _mark()
    if not mark or host != socket.gethostname() or last[: _MARK_CHARACTERS + 1] != f"{mark}-" or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    try:  # one that was killed and that nobody has asked for its end
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except (OSError, IndexError):
        return False


@lru_cache(maxsize=1)
def _mark() -> str:
    """Empty: this system does not tell. Read when this module is, not in the code of a saga that makes a worker by mistake."""
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    return hashlib.sha256(f"{boot}{space}".encode()).hexdigest()[:_MARK_CHARACTERS]


_mark()
