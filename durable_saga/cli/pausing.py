"""Commands that let sagas stand still, and go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import click

from durable_saga.cli import output
from durable_saga.cli.operate import NAMESPACE, REASON, TAKES_EFFECT_LATER, url_option, with_client
from durable_saga.client.client import Client, Handle
from durable_saga.client.readable import printable
from durable_saga.errors import ClientError


@click.command()
@click.argument("saga_ids", nargs=-1, required=True)
@click.option("--stop-clocks", is_flag=True, help="Let timers and the time-out of the saga stand still until the resume.")
@REASON
@url_option
@NAMESPACE
def pause(saga_ids: tuple[str, ...], stop_clocks: bool, reason: str, url: str, namespace: str) -> None:
    """Pause sagas. What is under way ends, and nothing begins until `resume`."""

    async def one(handle: Handle[Any]) -> str:
        return await handle.pause(reason, clocks="stop" if stop_clocks else "run")

    _each("pause", "is paused: nothing begins until it is resumed", saga_ids, one, url, namespace)


@click.command()
@click.argument("saga_ids", nargs=-1, required=True)
@REASON
@url_option
@NAMESPACE
def resume(saga_ids: tuple[str, ...], reason: str, url: str, namespace: str) -> None:
    """End the pause of sagas."""
    _each("resume", "goes on", saga_ids, lambda handle: handle.resume(reason), url, namespace)


def _each(
    verb: str, words: str, saga_ids: tuple[str, ...], work: Callable[[Handle[Any]], Awaitable[str]], url: str, namespace: str
) -> None:  # fmt: skip
    """One after the other; those that can't be are told, and the others are done all the same."""
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
                click.echo(printable(f"{saga_id}: the {verb} is recorded. {TAKES_EFFECT_LATER} {waits_for}"))
            else:
                click.echo(printable(f"{saga_id}: {words}"))

    with_client(go, url, namespace)
    if failed:
        raise click.exceptions.Exit(1)


COMMANDS: tuple[click.Command, ...] = (pause, resume)
