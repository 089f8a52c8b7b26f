"""How long ended sagas are kept: the option of servers, and the command for those that ended before (docs/retention.md)."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import click

from durable_saga.cli import output

if TYPE_CHECKING:
    from durable_saga_server.journal import Journal

LOOK_AFTER_MS = 10_000
"""A hint that is due so soon and not sooner is found by every home."""
_UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000}


class Retention(click.ParamType[int]):
    """Milliseconds; 0 is for ever."""

    name = "30d|12h|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if value in ("none", "0"):
            return 0
        found = re.fullmatch(r"([1-9][0-9]{0,8})([dhms])", value)
        if found is None:
            self.fail(f"{value!r} isn't a duration: write a number and d, h, m or s (30d, 12h), or none", param, ctx)
        return int(found[1]) * _UNITS_MS[found[2]]


retention = click.option(
    "--retention", type=Retention(), default="none", show_default=True, envvar="DURABLE_SAGA_RETENTION",
    help="Purge sagas this long after their end. Use the same value for all servers of a journal.",
)  # fmt: skip


@click.command()
@click.option("--journal", envvar="DURABLE_SAGA_JOURNAL", required=True, help="sqlite:///FILE or cassandra://HOSTS/KEYSPACE")
@click.option("--namespace", envvar="DURABLE_SAGA_NAMESPACE", default="default", show_default=True)
@click.option(
    "--per-second",
    type=click.IntRange(1, 1_000),
    default=200,
    show_default=True,
    help="How many sagas to hand to the servers each second.",
)
@click.option("--strict/--no-strict", default=True, help="Refuse a Cassandra whose settings are too weak for the promises.")
def purge(journal: str, namespace: str, per_second: int, strict: bool) -> None:
    """Purge sagas that ended before the servers had a --retention.

    This command hands those sagas to the servers, which purge them. You can stop it and run it again."""

    async def work() -> int:
        from durable_saga_server.journal import JournalError
        from durable_saga_server.journal.open import open_journal

        opened = open_journal(journal, strict=strict)
        try:
            await opened.initialize()
            try:
                return await tell_ended(opened, namespace, per_second)
            finally:
                await opened.close()
        except JournalError as error:
            raise ValueError(str(error)) from error

    count = output.run(work())
    print(f"{count} ended sagas handed to the servers, which purge them according to their --retention", flush=True)


async def tell_ended(journal: Journal, namespace: str, per_second: int) -> int:
    """A hint for each ended run of the listing. How many. Raises JournalError."""
    from durable_saga_server.clock import SystemClock
    from durable_saga_server.history.appending import OPEN
    from durable_saga_server.journal import Filter, Hint

    clock, count, page = SystemClock(), 0, ""
    while True:
        found = await journal.index.listing(Filter(namespace), per_second, page)
        due_ms = clock.now_ms() + LOOK_AFTER_MS
        ended = [head for head in found.heads if head.status not in OPEN]
        await asyncio.gather(*(journal.hints.add(Hint(due_ms, head.run)) for head in ended))
        count, page = count + len(ended), found.next_page
        if not page:
            return count
        await clock.sleep(1)
