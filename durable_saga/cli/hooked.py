"""`--hooks` of the commands that run a worker."""

from __future__ import annotations

from collections.abc import Sequence

import click

from durable_saga.cli.codecs import named
from durable_saga.hooks import Hook, checked

hooks_option = click.option(
    "--hooks", multiple=True, envvar="DURABLE_SAGA_HOOKS", metavar="MODULE:NAME",
    help="A hook around steps and compensations, or a list of them, such as shop.hooks:timed. The first is the outermost.",
)  # fmt: skip


def find_hooks(names: Sequence[str]) -> tuple[Hook, ...]:
    """Raises ClickException for what can't be imported or is no hook."""
    return tuple(hook for name in names for hook in _checked(name))


def _checked(name: str) -> tuple[Hook, ...]:
    try:
        return checked(named("--hooks", name))
    except TypeError as error:
        raise click.ClickException(f"--hooks {name}: {error}") from error
