"""The codec with which commands open and seal values, `--codec shop.keys:sealed`; and the files of its keys.

The name of the codec is kept in the environment, so that the worker processes that a command begins have it too.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from durable_saga.sealing import KeyFolder, PayloadCodec

VARIABLE = "DURABLE_SAGA_CODEC"


def _remember(_: click.Context, __: click.Parameter, value: str | None) -> None:
    if value:
        os.environ[VARIABLE] = value


def with_codec(command: click.Command) -> click.Command:
    """The command, and those of a group, take --codec where they take --url."""
    if isinstance(command, click.Group):
        for one in command.commands.values():
            with_codec(one)
    elif any(parameter.name == "url" for parameter in command.params):
        command.params.append(
            click.Option(
                ["--codec"], envvar=VARIABLE, expose_value=False, callback=_remember, metavar="MODULE:NAME",
                help="Opens and seals values here (docs/encryption.md).",
            )
        )  # fmt: skip
    return command


def chosen() -> PayloadCodec | None:
    """The codec that --codec or the environment names. Raises ClickException when it is not there."""
    name = os.environ.get(VARIABLE, "")
    if not name:
        return None
    module_name, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:
        raise click.ClickException(f"--codec {name}: {type(error).__name__}: {error}") from error
    if not (callable(getattr(found, "seal", None)) and callable(getattr(found, "open", None))):
        raise click.ClickException(f"--codec {name} is no codec of payloads, such as Sealed(KeyFolder('keys')): {found!r:.100}")
    return found  # type: ignore[no-any-return]


@click.group()
def keys() -> None:
    """The keys of a KeyFolder: what values are sealed with."""


_folder = click.option(
    "--keys", "folder", envvar="DURABLE_SAGA_KEYS", required=True, type=click.Path(file_okay=False), help="Their folder."
)


@keys.command()
@click.argument("name")
@_folder
def create(name: str, folder: str) -> None:
    """Make the first, or the next, key of NAME: what is sealed from now on is sealed with it."""
    try:
        print(_keys(folder).create(name), flush=True)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error


@keys.command("list")
@_folder
def list_keys(folder: str) -> None:
    """The ids of all keys."""
    try:
        for one in _keys(folder).ids():
            print(one, flush=True)
    except OSError as error:
        raise click.ClickException(str(error)) from error


@keys.command()
@click.argument("name")
@_folder
@click.option("--yes", is_flag=True, help="Don't ask.")
def erase(name: str, folder: str, yes: bool) -> None:
    """Erase all keys of NAME: what they sealed can't be opened any more, here and in every backup of the journal."""
    from durable_saga.errors import MissingKey

    if not yes:
        click.confirm(f"Everything that was sealed for {name!r} is lost then. Erase its keys?", abort=True)
    try:
        erased = _keys(folder).erase(name)
    except (MissingKey, OSError) as error:
        raise click.ClickException(str(error)) from error
    print(f"erased: {', '.join(erased)}", flush=True)


def _keys(folder: str) -> KeyFolder:
    from durable_saga.sealing import KeyFolder

    return KeyFolder(folder)


COMMANDS: tuple[click.Command, ...] = (keys,)
