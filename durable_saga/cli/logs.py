"""The log of a command: one line a record, whatever a worker calls itself and whatever a message brings.

As text, characters that a terminal obeys are escaped, new lines too, and a line ends after LINE_CHARACTERS_MAX; only the stack
of a mistake follows on lines of its own. As JSON a record is one object on one line, its stack inside. Both carry which saga,
run, saga type, step and attempt a record is about, where it is about one.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import click

from durable_saga.client.readable import printable
from durable_saga.pb.log_fields import CONTEXT

LINE_CHARACTERS_MAX = 8_000
STACK_CHARACTERS_MAX = 32_000
VALUE_CHARACTERS_MAX = 1_000
"""Of one field that a record carries."""
FIELDS_MAX = 50
FORMATS = ("text", "json")
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
"""What every record has."""


class OneLine(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name that logging calls
        record.message = one_line(record.message)
        told = [f"{name}={_word(value)}" for name in CONTEXT if (value := getattr(record, name, "")) != ""]
        return f"{super().formatMessage(record)} [{' '.join(told)}]" if told else super().formatMessage(record)


class JsonLines(logging.Formatter):
    _NAMES: ClassVar[frozenset[str]] = frozenset({"time", "level", "logger", "message", "error", "stack"})

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": at.replace("+00:00", "Z"), "level": record.levelname, "logger": record.name,
            "message": _cut(_message(record), LINE_CHARACTERS_MAX),
        }  # fmt: skip
        fields = {name: value for name, value in vars(record).items() if name not in _OWN and value != ""}
        for name, value in list(fields.items())[:FIELDS_MAX]:
            line[f"{name}_" if name in self._NAMES else name] = _value(value)
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = f"{record.exc_info[0].__module__}.{record.exc_info[0].__qualname__}"
        stacks = [
            record.exc_text or (self.formatException(record.exc_info) if record.exc_info else ""),
            record.stack_info or "",
        ]
        if stack := "\n".join(filter(None, stacks)):
            line["stack"] = stack[-STACK_CHARACTERS_MAX:]
        return json.dumps(line)


def one_line(text: str) -> str:
    return printable(_cut(text, LINE_CHARACTERS_MAX)).replace("\n", "\\n").replace("\t", " ")


def _cut(text: str, characters_max: int) -> str:
    size = len(text)
    return f"{text[:characters_max]} … ({size:,} characters)" if size > characters_max else text


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # logging would print its own lines about it between ours
        return f"{record.msg} (its arguments do not fit: {type(error).__name__})"


def _word(value: Any) -> str:
    """One word of a line of text; quoted where it is more than one."""
    text = one_line(_cut(str(value), VALUE_CHARACTERS_MAX))
    return text if text and not set(text) & set(" []\"'=") else json.dumps(text, ensure_ascii=False)


def _value(value: Any) -> Any:
    """As JSON has it; what it has no form of as Python writes it."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and value - value == 0):
        return value
    try:
        return _cut(str(value), VALUE_CHARACTERS_MAX)
    except Exception as error:  # the line is about something else
        return f"({type(value).__name__} can't be shown: {type(error).__name__})"


@dataclass(frozen=True, slots=True)
class LogStyle:
    """What a command and its child processes have in common."""

    format: str = FORMATS[0]
    verbose: bool = False

    def begin(self, *, level: int = logging.INFO, verbose_level: int = logging.DEBUG) -> None:
        """To stderr, for the whole process."""
        handler = logging.StreamHandler(sys.stderr)
        is_text = self.format == "text"
        handler.setFormatter(OneLine("%(asctime)s %(levelname)-7s %(message)s") if is_text else JsonLines())
        logging.basicConfig(level=verbose_level if self.verbose else level, handlers=[handler])
        logging.captureWarnings(not is_text)
        logging.getLogger("cassandra").setLevel(logging.ERROR)


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--log-format and --verbose. Gives the command a `log`."""

    @click.option(
        "--log-format", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True, envvar="DURABLE_SAGA_LOG_FORMAT",
        help="How the log is written: lines for people, or one JSON object a line.",
    )  # fmt: skip
    @click.option("--verbose", is_flag=True, help="Write a more detailed log.")
    @functools.wraps(command)
    def with_log(*, log_format: str, verbose: bool, **options: Any) -> Any:
        return command(log=LogStyle(log_format, verbose), **options)

    return with_log
