"""Commands that let sagas stand still, go on, and begin again: one by one, or all of a type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import click

from durable_saga.cli import output
from durable_saga.cli.operate import NAMESPACE, REASON, TAKES_EFFECT_LATER, url_option, with_client
from durable_saga.client.client import Client, Handle
from durable_saga.client.readable import printable
from durable_saga.errors import ClientError

_ids = click.argument("saga_ids", nargs=-1)
_type = click.option("--type", "saga_type", default="", help="All sagas of this type, also those that are started later.")


@click.command()
@_ids
@_type
@click.option("--stop-clocks", is_flag=True, help="Let timers and the time-out of the saga stand still until the resume.")
@REASON
@url_option
@NAMESPACE
def pause(
    saga_ids: tuple[str, ...], saga_type: str, stop_clocks: bool, reason: str, url: str, namespace: str
) -> None:  # fmt: skip
    """Pause sagas. What is under way ends, and nothing begins until `resume`."""
    _check(saga_ids, saga_type)
    if saga_type and stop_clocks:
        raise click.UsageError("--stop-clocks is for single sagas: the clocks of a type run on")

    async def one(handle: Handle[Any]) -> str:
        return await handle.pause(reason, clocks="stop" if stop_clocks else "run")

    if saga_type:
        was = with_client(lambda client: client.pause(type=saga_type, reason=reason), url, namespace)
        said = "all sagas of this type are paused" if was else "all sagas of this type were paused already; the reason is new"
        _said("pause", saga_type, f"{said}. Starts are accepted and wait")
    else:
        _each("pause", "is paused: nothing begins until it is resumed", saga_ids, one, url, namespace)


@click.command()
@_ids
@_type
@REASON
@url_option
@NAMESPACE
def resume(saga_ids: tuple[str, ...], saga_type: str, reason: str, url: str, namespace: str) -> None:
    """End the pause of sagas, or of a type."""
    _check(saga_ids, saga_type)
    if saga_type:
        was = with_client(lambda client: client.resume(type=saga_type, reason=reason), url, namespace)
        said = "the sagas of this type go on" if was else "the sagas of this type were not paused"
        _said("resume", saga_type, f"{said}. Sagas that are paused themselves stay so")
    else:
        _each("resume", "goes on", saga_ids, lambda handle: handle.resume(reason), url, namespace)


@click.command(name="retry-now")
@click.argument("saga_ids", nargs=-1, required=True)
@REASON
@url_option
@NAMESPACE
def retry_now(saga_ids: tuple[str, ...], reason: str, url: str, namespace: str) -> None:
    """Begin at once what waits for its back-off.

    These are attempts of steps and compensations. A blocked saga is tried again."""
    said = "what waits for its back-off begins now"
    _each("retry-now", said, saga_ids, lambda handle: handle.retry_now(reason), url, namespace, "It was, or still is:")


@click.command()
@click.argument("saga_id")
@REASON
@url_option
@NAMESPACE
def restart(saga_id: str, reason: str, url: str, namespace: str) -> None:
    """Begin an ended saga again, in a new run with the same arguments. What it did before stays as it is."""
    run = with_client(lambda client: client.handle(saga_id).restart(reason), url, namespace)
    if output.is_terminal():
        click.echo(printable(f"{saga_id}: begins again, as run {run}"))
    else:
        output.print_json({"id": saga_id, "done": "restart", "run": run})


def _check(saga_ids: tuple[str, ...], saga_type: str) -> None:
    if bool(saga_ids) == bool(saga_type):
        raise click.UsageError("give ids of sagas, or --type")


def _said(verb: str, saga_type: str, words: str) -> None:
    if output.is_terminal():
        click.echo(printable(f"{saga_type}: {words}"))
    else:
        output.print_json({"type": saga_type, "done": verb})


def _each(
    verb: str, words: str, saga_ids: tuple[str, ...], work: Callable[[Handle[Any]], Awaitable[str]], url: str, namespace: str,
    waits: str = TAKES_EFFECT_LATER,
) -> None:  # fmt: skip
    """One after the other; those that can't be are told, and the others are done all the same. `waits` stands before the
    reason why it has no effect yet."""
    failed = 0

    async def go(client: Client) -> None:
        nonlocal failed
        for saga_id in saga_ids:
            try:
                waits_for = await work(client.handle(saga_id))
            except ClientError as error:
                failed += 1
                click.echo(printable(f"{saga_id}: {error}"), err=True)
                continue
            if not output.is_terminal():
                output.print_json({"id": saga_id, "done": verb} | ({"waits_for": waits_for} if waits_for else {}))
            elif waits_for:
                click.echo(printable(f"{saga_id}: the {verb} is recorded. {waits} {waits_for}"))
            else:
                click.echo(printable(f"{saga_id}: {words}"))

    with_client(go, url, namespace)
    if failed:
        raise click.exceptions.Exit(1)


COMMANDS: tuple[click.Command, ...] = (pause, resume, retry_now, restart)
