"""Commands that look at code: the static check, a recorded history against the code of today, and all open sagas."""

from __future__ import annotations

import pathlib
import time
from collections import Counter
from collections.abc import Sequence

import click

from durable_saga.authoring.check import check_paths
from durable_saga.cli import output
from durable_saga.cli.codecs import carry_chosen, chosen
from durable_saga.cli.operate import NAMESPACE, url_option
from durable_saga.cli.processes import find_sagas
from durable_saga.client.client import Client
from durable_saga.client.connect import connect
from durable_saga.client.readable import printable
from durable_saga.declared.compiled import function_of
from durable_saga.definition.definition import SagaDefinition
from durable_saga.errors import InvalidArgument
from durable_saga.pb import history_pb2 as h
from durable_saga.recorded import Recorder, is_sealed, read_history
from durable_saga.rehearsal import Rehearsed, rehearse, unlike

REHEARSED_MAX = 10_000
EXAMPLES_MAX = 3
"""Sagas that are named for each way in which code does not fit."""
PROGRESS_SECONDS = 1.0
MISFITS = 1
"""The exit code if a saga can't go on with the code."""


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

    `history --raw FILE` writes such a file, and `rehearse --record FOLDER` many."""
    try:
        events = read_history(file)
    except InvalidArgument as error:
        raise click.ClickException(str(error)) from error
    if is_sealed(events):
        raise click.ClickException(f"the values in {file} are sealed: write it again, with `history --raw` and --codec")
    sagas = {one.name: one for one in _definitions(app)}
    saga_type = events[0].saga_started.saga_type
    if saga_type not in sagas:
        raise click.ClickException(f"{file} is the history of {saga_type}, and {app} has {', '.join(sagas)}")
    if (misfit := unlike(sagas[saga_type], events)) is not None:
        raise click.ClickException(misfit.why)
    click.echo(f"{len(events)} events, and the code does the same")


def _definitions(app: str) -> list[SagaDefinition]:
    return [function_of(one).definition for one in find_sagas(app)]


@click.command(name="rehearse")
@click.argument("app")
@click.option("--type", "saga_type", default="", help="Only sagas of this type.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=REHEARSED_MAX, show_default=True, help="At most so many, the newest ones."
)
@click.option(
    "--share", default="100%", show_default=True, metavar="PERCENT", help="Of the open sagas, chosen by their ids: 10%."
)
@click.option(
    "--record", type=click.Path(file_okay=False, path_type=pathlib.Path),
    help="Folder for recorded histories, a few for each type and shape, for tests. They hold the values of the sagas.",
)  # fmt: skip
@url_option
@NAMESPACE
def rehearsal(
    app: str, saga_type: str, limit: int, share: str, record: pathlib.Path | None, url: str, namespace: str
) -> None:  # fmt: skip
    """Replay open sagas with the code of a module, before it is deployed. Nothing is run and nothing is changed.

    APP is a module such as shop.orders, with the code that is to be deployed. The exit code is 1 if an open saga can't go on
    with it."""
    wanted = _share(share)
    definitions = _definitions(app)
    if saga_type and saga_type not in {one.name for one in definitions}:
        raise click.ClickException(f"{app} has no saga {saga_type!r}; it has {', '.join(one.name for one in definitions)}")

    async def go() -> _Report:
        report = _Report(definitions, None if record is None else Recorder(record))
        async with connect(url, namespace=namespace, codec=chosen(), carry=carry_chosen()) as client:
            report.open = await _open_of_type(client)
            async for one in rehearse(client, definitions, sagas_max=limit, share=wanted, type=saga_type):
                report.add(one)
        return report

    report: _Report = output.run(go())
    report.show()
    if report.misfits:
        raise click.exceptions.Exit(MISFITS)


def _share(text: str) -> float:
    try:
        found = float(text.removesuffix("%")) / 100
    except ValueError:
        found = 0.0
    if not 0 < found <= 1:
        raise click.BadParameter(f"{text!r} is no share: give one such as 10%", param_hint="--share")
    return found


async def _open_of_type(client: Client) -> Counter[str]:
    found: Counter[str] = Counter()
    for saga_type, counts in (await client.statistics()).by_type.items():
        found[saga_type] = sum(count for status, count in counts.items() if h.Status.Value(status.upper()) in _OPEN)
    return found


_OPEN = (h.RUNNING, h.COMPENSATING, h.COMPENSATION_STUCK, h.HELD)


class _Report:
    """What was found so far. `open`: how many open sagas there are of each type, as the listing says."""

    def __init__(self, definitions: Sequence[SagaDefinition], recorder: Recorder | None) -> None:
        self.open: Counter[str] = Counter()
        self.misfits: dict[tuple[str, str], list[Rehearsed]] = {}
        self._types = [one.name for one in definitions]
        self._recorder = recorder
        self._seen: Counter[tuple[str, int]] = Counter()
        self._sealed = 0
        self._told = time.monotonic()

    def add(self, one: Rehearsed) -> None:
        self._seen[one.saga_type, one.version] += 1
        self._sealed += one.sealed
        if one.misfit is not None:
            self.misfits.setdefault((one.saga_type, one.misfit.kind), []).append(one)
        if self._recorder is not None:
            self._recorder.record(one.saga_type, one.events)
        if (now := time.monotonic()) > self._told + PROGRESS_SECONDS:
            self._told = now
            total = sum(self.open[one] for one in self._types)
            click.echo(f"{self._seen.total()} of {total} open sagas replayed, {self._wrong()} don't fit", err=True)

    def _wrong(self) -> int:
        return sum(map(len, self.misfits.values()))

    def show(self) -> None:
        if output.is_terminal():
            self._show_text()
        else:
            self._show_json()
        if self._recorder is not None:
            click.echo(f"{self._recorder.count} histories in {self._recorder.folder}; they hold values of sagas", err=True)
        if self._sealed:
            click.echo(f"{self._sealed} sagas were left out, because their values are sealed: give --codec", err=True)
        for saga_type, count in sorted(self.open.items()):
            if count and saga_type not in self._types:
                click.echo(f"{count} open sagas of type {saga_type} were left out: the module has no such saga", err=True)

    def _show_text(self) -> None:
        rows = [
            (saga_type, str(version) if version else "not begun", str(count))
            for (saga_type, version), count in sorted(self._seen.items())
        ]
        output.table(("type", "version", "open"), rows)
        for (saga_type, _), several in sorted(self.misfits.items(), key=lambda one: -len(one[1])):
            names = ", ".join(one.id for one in several[:EXAMPLES_MAX])
            more = ", …" if len(several) > EXAMPLES_MAX else ""
            why = several[0].misfit.why if several[0].misfit is not None else ""
            click.echo(printable(f"\n{len(several)} of {saga_type} can't go on: {why}\n  {names}{more}"))
        seen, wrong = self._seen.total(), self._wrong()
        click.echo(f"\n{seen} open sagas replayed, " + (f"{wrong} can't go on with this code" if wrong else "all can go on"))

    def _show_json(self) -> None:
        for (saga_type, _), several in self.misfits.items():
            for one in several:
                why = one.misfit.why if one.misfit is not None else ""
                output.print_json({"id": one.id, "run": one.run, "type": saga_type, "version": one.version, "why": why})
        output.print_json({
            "replayed": self._seen.total(), "misfits": self._wrong(), "sealed": self._sealed,
            "versions": [
                {"type": saga_type, "version": version, "open": count}
                for (saga_type, version), count in sorted(self._seen.items())
            ],
        })  # fmt: skip


COMMANDS: tuple[click.Command, ...] = (check, replay, rehearsal)
