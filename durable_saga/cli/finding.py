"""Commands that look at many sagas: lists and counts."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from durable_saga.cli import output
from durable_saga.cli.operate import NAMESPACE, TIME, TIME_FORM, TIME_HELP, named_value, url_option, with_client
from durable_saga.client.client import Client
from durable_saga.client.listing import rows
from durable_saga.client.readable import as_dict
from durable_saga.client.sub_states import WORDS, word_of
from durable_saga.client.times import shown
from durable_saga.client.working import ConnectedWorker, WorkedType
from durable_saga.pb import client_pb2 as c

_TIMES = ("started_after", "started_before", "ended_after", "ended_before")


@click.command(name="list")
@click.option("--type", default="", help="Only sagas of this type.")
@click.option("--status", multiple=True, help="Only sagas in this status. May be given more than once.")
@click.option(
    "--state",
    multiple=True,
    metavar="STATE",
    help=f"Only open sagas that do this: {', '.join(WORDS.values())}. May be given more than once.",
)
@click.option("--failure-type", default="", help="Only sagas whose last failure is of this type, such as builtins.OSError.")
@click.option("--id-prefix", default="", help="Only sagas whose id begins with this.")
@click.option(
    "--where",
    multiple=True,
    metavar="NAME=VALUE",
    help="Only sagas with this search attribute. May be given more than once; all must match.",
)
@click.option("--key", default="", help="Only open sagas that declared this correlation key.")
@click.option("--paused", is_flag=True, help="Only sagas that are paused themselves.")
@click.option(
    "--started-since",
    "--started-after",
    "started_after",
    type=TIME,
    metavar=TIME_FORM,
    help=f"Only sagas started at this time or later. {TIME_HELP}",
)
@click.option(
    "--started-until",
    "--started-before",
    "started_before",
    type=TIME,
    metavar=TIME_FORM,
    help="Only sagas started before this time.",
)
@click.option("--ended-since", "ended_after", type=TIME, metavar=TIME_FORM, help="Only sagas that ended at this time or later.")
@click.option("--ended-until", "ended_before", type=TIME, metavar=TIME_FORM, help="Only sagas that ended before this time.")
@click.option("--blocked", is_flag=True, help="Only sagas that no connected worker can continue, with the reasons.")
@click.option("--build", default="", help="Only sagas that began with this build of the code.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many sagas to show.")
@url_option
@NAMESPACE
def list_sagas(limit: int, where: tuple[str, ...], url: str, namespace: str, **filters: Any) -> None:
    """List sagas, newest first, with what they do. All conditions must hold."""
    attributes = dict(named_value(one, "--where") for one in where)

    async def work(client: Client) -> Any:
        return [one async for one in rows(client, limit=limit + 1, attributes=attributes, **filters)]

    found = with_client(work, url, namespace)
    is_more, found = len(found) > limit, found[:limit]
    if not output.is_terminal():
        for one in found:
            output.print_json(as_dict(one))
    else:
        _say_times(filters)
        headers = ("saga", "type", "status", "does", "step", "last error", "attempt", "next", "started", "ended")
        output.table(headers, [_line(one) for one in found])
        if filters["blocked"]:
            output.print_reasons(found)
    if is_more:
        click.echo(f"There are more. --limit {limit * 10} shows up to {limit * 10}.", err=True)


def _line(one: c.Description) -> tuple[str, ...]:
    doing = one.doing
    return (
        one.key.saga, one.saga_type, output.status_of(one), word_of(one.sub_state) if not one.ended_ms else "", doing.name,
        doing.failure_type, str(doing.attempt or ""), output.when(doing.next_ms), output.when(one.started_ms),
        output.when(one.ended_ms),
    )  # fmt: skip


def _say_times(filters: dict[str, Any]) -> None:
    """As they were understood, with the zone."""
    for name in _TIMES:
        when: datetime | None = filters[name]
        if when is not None:
            click.echo(f"{name.replace('_', ' ').replace('after', 'since').replace('before', 'until')} {shown(when)}", err=True)


@click.command()
@url_option
@NAMESPACE
def stats(url: str, namespace: str) -> None:
    """Count sagas by type, status and what they do. The latest changes may not be counted yet."""
    output.print_statistics(with_client(lambda client: client.statistics(), url, namespace))


@click.command()
@url_option
@NAMESPACE
def trouble(url: str, namespace: str) -> None:
    """Group the open sagas that may need a person by type, state, step and error, the largest group first."""
    found = with_client(lambda client: client.trouble(), url, namespace)
    if not output.is_terminal():
        for one in found:
            output.print_json(asdict(one))
        return
    lines = [
        (
            f"{'at least ' if one.at_least else ''}{one.count}",
            one.saga_type,
            one.state.replace("_", " "),
            one.step,
            one.failure_type,
        )
        for one in found
    ]
    output.table(("sagas", "type", "state", "step", "last error"), lines)


@click.command()
@url_option
@NAMESPACE
def workers(url: str, namespace: str) -> None:
    """Show the connected workers, and which types of sagas have some or lack them."""
    found = with_client(lambda client: client.workers(), url, namespace)
    if not output.is_terminal():
        output.print_json(asdict(found))
        return
    headers = ("worker", "build", "types", "sagas", "slots", "waiting", "connected", "last seen", "")
    output.table(headers, [_worker_line(one) for one in found.workers])
    rows = [(one.saga_type, str(one.workers), str(one.open), str(one.queued), _trouble_of(one)) for one in found.types]
    output.table(("type", "workers", "open sagas", "queued here", ""), rows)


def _worker_line(one: ConnectedWorker) -> tuple[str, ...]:
    says = "takes no new sagas" if one.draining else "in another engine" if one.elsewhere else ""
    if one.blocked_at:
        says = f"its event loop is blocked since {output.at(one.blocked_since)} at {one.blocked_at}"
    slots = f"{one.slots_used} of {one.slots}" if one.slots else ""
    return (
        one.name, one.build, ", ".join(one.saga_types), str(one.sagas), slots, str(one.slots_waiting or ""),
        output.at(one.connected_at), output.at(one.seen_at), says,
    )  # fmt: skip


def _trouble_of(one: WorkedType) -> str:
    return f"paused {one.paused}" if one.paused else "no worker runs it: start one" if one.lacks_workers else ""


COMMANDS: tuple[click.Command, ...] = (list_sagas, stats, trouble, workers)
