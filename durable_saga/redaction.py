"""What failures and log lines may tell: one function from text to text, given to `connect(redact=…)`. It is asked before
anything of an exception reaches the journal, and of every log line of this library and of code that runs in a saga or step.

It holds for the whole process. It sees each text whole, before it is cut. One that raises, or returns no text, hides all of it:
nothing leaves as it was.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

from durable_saga.pb.redaction import redact as hide_secrets

__all__ = ["Redact", "hide_secrets", "redacted", "redacted_bytes", "stop", "use"]
Redact = Callable[[str], str]
TEXT_CHARACTERS_MAX = 256 * 1024
"""Of a longer one the function gets the beginning; the rest is dropped."""
_hook: Redact | None = None
when_used: list[Callable[[], object]] = []
"""Called when a hook is set: of who sees to it that log lines come here."""


def use(hook: Redact | None) -> None:
    """None: nothing changes. Raises TypeError for what can't be called."""
    global _hook
    if hook is None:
        return
    if not callable(hook):
        raise TypeError(f"redact is {hook!r}: give a function from text to text, such as durable_saga.redaction.hide_secrets")
    _hook = hook
    for tell in when_used:
        tell()


def stop() -> None:
    """Texts are what they are again."""
    global _hook
    _hook = None


def redacted(text: str) -> str:
    """What of the text may leave. Never raises."""
    if _hook is None or not text:
        return text
    try:
        found = _hook(text[:TEXT_CHARACTERS_MAX])
    except BaseException as error:  # it is the user's, and the failure that is told is another one
        return f"(hidden: redact() raised {type(error).__name__})"
    return found if type(found) is str else f"(hidden: redact() returned a {type(found).__name__})"


def redacted_bytes(data: bytes) -> bytes:
    """The same for bytes that may be text."""
    if _hook is None:
        return data
    return redacted(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def redact_record(record: logging.LogRecord) -> None:
    """Its words and its traceback, for all handlers."""
    if _hook is None:
        return
    try:
        words = record.getMessage()
    except Exception as error:  # arguments that do not fit: logging itself would print them
        words = f"a log line of {record.pathname}:{record.lineno} can't be made: {type(error).__name__}"
    record.msg, record.args = redacted(words), ()
    if record.exc_info and record.exc_info[0] is not None:
        record.exc_text = redacted("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
    elif record.exc_text:
        record.exc_text = redacted(record.exc_text)
    record.exc_info = None
    if record.stack_info:
        record.stack_info = redacted(record.stack_info)
