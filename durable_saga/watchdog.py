"""Takes saga code out that does not come back: an activation that runs for longer than it may gets an exception raised in it.

One thread for the process looks at every thread that runs saga code. `Watch.call()` is the activation: outside of it nothing is
ever raised. What catches the exception and goes on gets it again, until it is out. Code that stands in C for so long can't be
reached; its stack is logged.

The handshake: the watched thread says `inside = False` and then looks at `_armed`; the watchdog says `_armed = turn` and then
looks at `inside` and `turn`, with the lock held until it has hit. One of the two sees the other, and whoever leaves waits for
the lock and clears what is on its way.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, TypeVar

from durable_saga.errors import LimitExceeded
from durable_saga.frames import frame_of
from durable_saga.replay.closing import TakenOut
from durable_saga.replay.mark import leave
from durable_saga.replay.running_loop import running_loop, set_running_loop

log = logging.getLogger(__name__)
ACTIVATION_SECONDS_MAX = 10.0
"""How long saga code may run without waiting; an option of the worker."""
DISCARD_SECONDS_MAX = 1.0
"""How long its `finally` blocks may run when it is dropped from memory."""
LOOK_SECONDS = 0.25
HIT_AGAIN_SECONDS = 0.005
CAREFUL_SECONDS = 1.0
"""For so long it is hit in the user's own lines only, not where a lock of a library may just have been taken."""
SAY_STUCK_SECONDS = 1.0
RENEWED_AFTER_SECONDS = 0.2
"""Then it gets the exception at each line that it goes on to."""
RENEWED_EVERY = 4 if sys.version_info[:2] == (3, 12) else 1
"""Of so many times. On Python 3.12, what is raised where a handler jumps back counts as raised in its `try`: what came at each
line would be caught there for ever, so chance must find the place between. That takes some seconds."""
LOCK_SECONDS_MAX = 3.0
"""Of processor time for which the interpreter's lock may be held; less than a lease."""
T = TypeVar("T")
_OURS = ("durable_saga.", "asyncio.", "logging.", "threading.", "importlib.", "contextlib.", "concurrent.", "warnings.")
_raise_in_thread: Any = ctypes.PYFUNCTYPE(None, ctypes.c_ulong, ctypes.py_object)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)
_clear_in_thread: Any = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)


class ActivationTooLong(LimitExceeded):
    """Saga code ran for longer than it may without waiting, and was taken out. `stack`: where it was then."""

    def __init__(self, seconds: float, place: str, stack: str) -> None:
        advice = (
            "saga code ran for too long without waiting for a step, a timer or a message, and was stopped; do it in a @step"
        )
        super().__init__("activation_seconds_max", round(seconds), f"{place}: {advice}" if place else advice)
        self.stack = stack


def _renewed(ident: int) -> type[TakenOut]:
    """An exception that asks for the next one when it is made: code gets out of loops that catch it at their innermost. That is
    done by a function in C, since a line of Python would be met by the next one."""
    kind = type("TakenOutAgain", (TakenOut,), {})
    kind.__init__ = staticmethod(partial(_raise_in_thread, ident, kind))  # type: ignore[misc]
    return kind


class Watch:
    """Of one thread. `call()` is for that thread only."""

    def __init__(self) -> None:
        self._ident, self.thread = threading.get_ident(), threading.current_thread()
        self._renewed = _renewed(self._ident)
        self._lock = threading.Lock()
        self._turn = 0
        self._inside = False
        self._armed = 0
        self._seconds = 0.0
        self._place = self._stack = ""
        self._seen_turn, self._since, self._said = 0, 0.0, False
        self._hits = 0

    def call(self, seconds: float, function: Callable[..., T], *args: Any) -> T:
        """`function(*args)`, which may take `seconds`. Raises ActivationTooLong, then whatever it did is to be thrown away."""
        if self._inside:
            return function(*args)
        before, hooks = running_loop(), sys.get_asyncgen_hooks()
        self._turn += 1
        self._seconds = seconds
        try:
            self._inside = True
            return function(*args)
        finally:
            self._inside = False
            if self._armed == self._turn:
                _clear_in_thread(self._ident, None)
                try:
                    self._settle(before, hooks)
                except TakenOut:  # the last one, which was on its way; there is no other behind it but what it asked for
                    _clear_in_thread(self._ident, None)
                    self._settle(before, hooks)
                raise ActivationTooLong(seconds, self._place, self._stack) from None

    def _settle(self, before: asyncio.AbstractEventLoop | None, hooks: Any) -> None:
        """Nothing is raised here any more; and what may have been cut short on its way out is put right."""
        with self._lock:
            _clear_in_thread(self._ident, None)
            self._armed = 0
        leave()
        set_running_loop(before)
        sys.set_asyncgen_hooks(*hooks)

    def take_out_here(self, frame: FrameType | None) -> None:
        """Called by a signal, in this thread. Raises TakenOut if an activation runs."""
        if self._inside:
            self._place, self._stack = told(frame)
            self._armed = self._turn
            raise TakenOut

    # --- the watchdog's side ---------------------------------------------------------------------------------------------

    def look(self, now: float) -> float:
        """Called by the watchdog; seconds until it is to look again."""
        turn = self._turn
        if not self._inside or turn != self._seen_turn:
            self._seen_turn, self._since, self._said = turn, now, False
            return LOOK_SECONDS
        late = now - self._since - self._seconds
        if late < 0:
            return LOOK_SECONDS
        frame = frame_of(self._ident)
        if not self._armed:
            self._place, self._stack = told(frame)
        careful = late < CAREFUL_SECONDS and (frame is None or _is_ours(frame))
        del frame
        if not careful:
            self._hits += 1
            self._hit(turn, self._renewed if late > RENEWED_AFTER_SECONDS and self._hits % RENEWED_EVERY == 0 else TakenOut)
        if late > SAY_STUCK_SECONDS and not self._said:
            self._said = True
            log.error(
                "saga code can't be stopped, because it is in C code or catches every exception: %s\n%s",
                self._place,
                self._stack,
            )
        return HIT_AGAIN_SECONDS

    def _hit(self, turn: int, kind: type[TakenOut]) -> None:
        with self._lock:
            self._armed = turn
            if self._inside and self._turn == turn:
                _raise_in_thread(self._ident, kind)


class _Here(threading.local):
    watch: Watch | None = None


_here = _Here()
_watches: dict[int, Watch] = {}
_start_once = threading.Lock()
_started = False
_watches_lock = False


def watch_here() -> Watch:
    """The watch of this thread; starts the watchdog."""
    global _started
    if _here.watch is None:
        _here.watch = _watches[threading.get_ident()] = Watch()
        with _start_once:
            if not _started:
                _started = True
                threading.Thread(target=_run, name="saga-watchdog", daemon=True).start()
    return _here.watch


def watch_the_lock() -> None:
    """For a process of ours, in its main thread: code in C that holds the interpreter's lock and looks at signals, such as a
    regular expression, is taken out, after LOCK_SECONDS_MAX. No thread could do that. Uses SIGVTALRM."""
    global _watches_lock
    signal.signal(signal.SIGVTALRM, lambda _, frame: watch_here().take_out_here(frame))
    signal.setitimer(signal.ITIMER_VIRTUAL, LOCK_SECONDS_MAX, LOCK_SECONDS_MAX)
    _watches_lock = True


def _run() -> None:
    while True:
        if _watches_lock:
            signal.setitimer(signal.ITIMER_VIRTUAL, LOCK_SECONDS_MAX, LOCK_SECONDS_MAX)
        now, pause = time.monotonic(), LOOK_SECONDS
        for ident, watch in list(_watches.items()):
            if not watch.thread.is_alive():
                _watches.pop(ident, None)
                continue
            pause = min(pause, watch.look(now))
        time.sleep(pause)


def told(frame: FrameType | None) -> tuple[str, str]:
    """The innermost line of the user's, and the user's frames as Python prints them."""
    rows: list[traceback.FrameSummary] = []
    while frame is not None and frame.f_globals.get("__name__") != __name__:
        if not _is_ours(frame):
            code = frame.f_code
            rows.insert(0, traceback.FrameSummary(code.co_filename, frame.f_lineno, code.co_qualname, lookup_line=False))
        frame = frame.f_back
    place = f"{rows[-1].filename}:{rows[-1].lineno} in {rows[-1].name}" if rows else ""
    return place, "".join(traceback.StackSummary.from_list(rows).format())


def _is_ours(frame: FrameType) -> bool:
    return f"{frame.f_globals.get('__name__', '')}.".startswith(_OURS)
