"""The log of a command: one line a record, whatever a worker calls itself and whatever a message brings.

Characters that a terminal obeys are escaped, new lines too, and a line ends after LINE_CHARACTERS_MAX. Only the stack of a
mistake of ours follows on lines of its own.
"""

from __future__ import annotations

import logging
import sys

from durable_saga.client.readable import printable

LINE_CHARACTERS_MAX = 8_000


class OneLine(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name that logging calls
        record.message = one_line(record.message)
        return super().formatMessage(record)


def one_line(text: str) -> str:
    size = len(text)
    if size > LINE_CHARACTERS_MAX:
        text = f"{text[:LINE_CHARACTERS_MAX]} … ({size:,} characters)"
    return printable(text).replace("\n", "\\n").replace("\t", " ")


def begin(verbose: bool) -> None:
    """To stderr, for the whole process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)-7s %(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
    logging.getLogger("cassandra").setLevel(logging.ERROR)
