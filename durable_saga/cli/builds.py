"""Commands on builds: which there are, and which of them new sagas begin with."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import click

from durable_saga.cli import output
from durable_saga.cli.operate import NAMESPACE, REASON, url_option, with_client
from durable_saga.client.builds import Build, RollOut, share_in, shares_of, words_of
from durable_saga.client.readable import printable
from durable_saga.errors import InvalidArgument

_TYPE = click.option("--type", "saga_type", default="", help="Only of this type; it counts instead of the share of all types.")


class Share(click.ParamType[float]):
    """5% or 0.05, as a part of 1."""

    name = "share"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return share_in(str(value))
        except InvalidArgument as error:
            self.fail(str(error), param, ctx)


@click.command()
@url_option
@NAMESPACE
def builds(url: str, namespace: str) -> None:
    """Show the builds: workers, open sagas, shares of new ones. The latest changes may not be counted yet."""
    found: Sequence[Build] = with_client(lambda client: client.builds(), url, namespace)
    if not output.is_terminal():
        for one in found:
            output.print_json(_plain(one) | {"is_drained": one.is_drained})
        return
    output.table(("build", "workers", "new sagas", "open", "blocked", "types"), [
        (
            one.name or "(none yet)", str(one.workers), shares_of(one), f"{one.open}{' (drained)' if one.is_drained else ''}",
            str(one.blocked), ", ".join(one.types),
        )
        for one in found
    ])  # fmt: skip
    for one in found:
        if one.warning:
            click.echo(printable(one.warning), err=True)


@click.command("roll-out")
@click.argument("build", required=False)
@click.option("--share", type=Share(), help="Of new sagas, such as 5%. Open sagas stay with the build that they began with.")
@click.option("--end", is_flag=True, help="End the roll-out: new sagas begin with any build that has room.")
@_TYPE
@REASON
@url_option
@NAMESPACE
def roll_out(
    build: str | None, share: float | None, end: bool, saga_type: str, reason: str, url: str, namespace: str
) -> None:  # fmt: skip
    """Let a share of the new sagas begin with BUILD. 100% finishes the roll-out; the same command goes back."""
    if end == bool(build) or (share is None) == bool(build):
        raise click.UsageError("give a BUILD and its --share, or --end")
    done: RollOut = with_client(
        lambda client: client.roll_out(build, share=share or 0.0, type=saga_type, reason=reason), url, namespace
    )
    if not output.is_terminal():
        output.print_json(_plain(done))
    else:
        click.echo(printable(words_of(done)))
    if done.warning:
        click.echo(printable(done.warning), err=True)


def _plain(one: Build | RollOut) -> dict[str, Any]:
    """With its times as texts."""
    found = dataclasses.asdict(one)
    for row in (found, *found.get("roll_outs", ())):
        if "since" in row:
            row["since"] = row["since"] and row["since"].isoformat()
    return found


COMMANDS: tuple[click.Command, ...] = (builds, roll_out)
