"""Commands that look at code: the static check, and a recorded history against the code of today."""

from __future__ import annotations

import pathlib

import click

from durable_saga.authoring.check import check_paths
from durable_saga.cli import output
from durable_saga.cli.processes import find_sagas
from durable_saga.declared.compiled import function_of
from durable_saga.errors import DurableSagaError
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import Core


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=pathlib.Path))
def check(paths: tuple[pathlib.Path, ...]) -> None:
    """Find saga code that can't be replayed. The exit code is 1 if there is any."""
    findings = check_paths(list(paths))
    for one in findings:
        if output.is_terminal():
            click.echo(f"{one.path}:{one.line}:{one.column}: {one.code} {one.message}")
        else:
            output.print_json({
                "path": str(one.path), "line": one.line, "column": one.column, "code": one.code, "message": one.message,
            })  # fmt: skip
    if findings:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path))
@click.option("--saga", "app", required=True, help="The saga of this history, as module:function.")
def replay(file: pathlib.Path, app: str) -> None:
    """Replay a history with today's code. The exit code is 1 if the code does anything else.

    `history --raw FILE` writes such a file."""
    events = read_history(file)
    if any(event.sealed or event.saga_started.input.HasField("seal") for event in events):
        raise click.ClickException(f"the values in {file} are sealed: write it again, with `history --raw` and --codec")
    definitions = [function_of(one).definition for one in find_sagas(app)]
    sagas = {one.name: one for one in definitions}
    saga_type = events[0].saga_started.saga_type if events else ""
    if saga_type not in sagas:
        raise click.ClickException(f"{file} is the history of {saga_type or 'no saga'}, and {app} has {', '.join(sagas)}")
    core = Core(sagas[saga_type], h.RunKey(namespace="replay", saga="replay", run=1))
    try:
        core.replay(events)
    except DurableSagaError as error:
        raise click.ClickException(str(error)) from error
    finally:
        core.discard()
    click.echo(f"{len(events)} events, and the code does the same; the saga is {h.Status.Name(core.status)}")


def read_history(file: pathlib.Path) -> list[h.Event]:
    """The events of a file made by `history --raw`. Raises ClickException for anything else."""
    data, events, place = file.read_bytes(), [], 0
    try:
        while place < len(data):
            size = int.from_bytes(data[place : place + 4], "big")
            events.append(h.Event.FromString(data[place + 4 : place + 4 + size]))
            place += 4 + size
    except Exception as error:
        raise click.ClickException(f"{file} isn't a recorded history: {error}") from error
    return events


COMMANDS: tuple[click.Command, ...] = (check, replay)
