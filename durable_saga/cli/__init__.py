"""The command line. A terminal gets tables and colour, a pipe gets JSON; errors are one sentence and exit code 1."""

from __future__ import annotations

import click

from durable_saga.cli import (
    access,
    backups,
    builds,
    checking,
    codecs,
    developing,
    finding,
    health,
    operate,
    pausing,
    processes,
    versions,
    web,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="durable-saga")
def main() -> None:
    """Run servers and workers, start and watch sagas, and decide about stuck compensations."""


for _command in (
    *developing.COMMANDS,
    *processes.COMMANDS,
    *backups.COMMANDS,
    *codecs.COMMANDS,
    *operate.COMMANDS,
    *finding.COMMANDS,
    *pausing.COMMANDS,
    *builds.COMMANDS,
    *checking.COMMANDS,
    *access.COMMANDS,
    *health.COMMANDS,
    *versions.COMMANDS,
    *web.COMMANDS,
):
    main.add_command(codecs.with_codec(_command))
