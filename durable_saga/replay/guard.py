"""Keeps saga code away from what replay can't repeat: files, sockets, threads, processes, the machine's clock and dice.

One audit hook for the process, made when the first saga runs, looks at a thread-local mark: outside saga code it costs one
attribute. What Python itself reads is let through: modules (they open files, once per process, and are no effect of the saga),
source lines for a traceback or a debugger, and time zones. Clock and dice: `stand_ins.py`. Log records: `saga_log.py`.
"""

from __future__ import annotations

import functools
import sys
import threading
from typing import Any

from durable_saga.errors import BlockingCall
from durable_saga.replay import futures, kept_names, saga_log, stand_ins
from durable_saga.replay.mark import Environment, Marked, mark, refusal

_install_once = threading.Lock()
_installed = False
_REFUSED = {
    "open": "reads or writes a file",
    "os.remove": "removes a file",
    "os.rename": "renames a file",
    "os.mkdir": "makes a folder",
    "os.rmdir": "removes a folder",
    "os.symlink": "makes a link",
    "os.link": "makes a link",
    "os.utime": "changes the times of a file",
    "os.chmod": "changes the rights of a file",
    "os.chown": "changes the owner of a file",
    "os.truncate": "cuts a file",
    "os.chdir": "changes the folder of the whole process",
    "os.putenv": "changes the environment of the whole process",
    "os.unsetenv": "changes the environment of the whole process",
    "os.kill": "sends a signal to a process",
    "syslog.syslog": "writes to the system's log",
    "socket.gethostbyname": "looks up a host name",
    "socket.gethostbyaddr": "looks up a host name",
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
    "_thread.start_joinable_thread": "starts a thread",
}
_PYTHON_READS = ("importlib", "linecache", "traceback", "tokenize", "zoneinfo", "tzdata", "pdb", "bdb")


def guarded(environment: Environment) -> Marked:
    """Saga code runs in here. May be nested; raises nothing by itself."""
    if not _installed:
        install()
    return Marked(environment)


def refuse_in_sagas(owner: Any, name: str, sentence: str) -> None:
    """Let a function of another library say this sentence where saga code calls it, by BlockingCall."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if mark.environment is not None:
            raise BlockingCall(sentence)
        return original(*args, **kwargs)

    setattr(owner, name, wrapper)


def install() -> None:
    """Once per process, before the first saga runs."""
    global _installed
    with _install_once:
        if not _installed:
            sys.addaudithook(_audit)
            with kept_names.all_visible():
                stand_ins.install()
                saga_log.install()
                futures.install()
            _installed = True


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if mark.environment is None:
        return
    what = _REFUSED.get(event)
    if what is None or _python_reads() or (event == "open" and _is_time_zone(arguments[0])):
        return
    subject = f" ({arguments[0]!r})" if arguments and isinstance(arguments[0], str) else ""
    raise refusal(f"{what}{subject}")


def _python_reads() -> bool:
    """Whether Python itself is what asks, on its way to what the saga's code wants."""
    frame = sys._getframe(2)
    for _ in range(60):
        if frame is None:
            return False
        if frame.f_globals.get("__name__", "").startswith(_PYTHON_READS):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _is_time_zone(path: Any) -> bool:
    """ZoneInfo opens its files with no frame of its own."""
    zoneinfo = sys.modules.get("zoneinfo")
    return zoneinfo is not None and isinstance(path, str) and path.startswith(tuple(zoneinfo.TZPATH))
