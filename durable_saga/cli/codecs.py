"""The codec with which commands open and seal values, `--codec shop.keys:sealed`, and the files of its keys; and what takes
secrets out of failures, `--redact shop.keys:hide`; and the ContextVars that are carried, `--carry shop.users:USER`.

The names are kept in the environment, so that the worker processes that a command begins have them too.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from durable_saga.redaction import Redact
    from durable_saga.sealing import KeyFolder, PayloadCodec

CODEC, REDACT, CARRY = "DURABLE_SAGA_CODEC", "DURABLE_SAGA_REDACT", "DURABLE_SAGA_CARRY"


def _remember(_: click.Context, option: click.Parameter, value: str | None) -> None:
    if value:
        os.environ[f"DURABLE_SAGA_{str(option.name).upper()}"] = value


def with_codec(command: click.Command) -> click.Command:
    """The command, and those of a group, take --codec where they take --url."""
    if isinstance(command, click.Group):
        for one in command.commands.values():
            with_codec(one)
    elif any(parameter.name == "url" for parameter in command.params):
        command.params.append(
            click.Option(
                ["--codec"], envvar=CODEC, expose_value=False, callback=_remember, metavar="MODULE:NAME",
                help="Codec that seals and opens values (docs/encryption.md).",
            )
        )  # fmt: skip
        if command.name in ("worker", "rehearse"):
            command.params.append(
                click.Option(
                    ["--carry"], envvar=CARRY, expose_value=False, callback=_remember, metavar="MODULE:NAME",
                    help="ContextVar that is carried, or a list of them (docs/hooks.md).",
                )
            )  # fmt: skip
        if command.name == "worker":
            command.params.append(
                click.Option(
                    ["--redact"], envvar=REDACT, expose_value=False, callback=_remember, metavar="MODULE:NAME",
                    help="Function that removes secrets from failures and logs (docs/security.md).",
                )
            )  # fmt: skip
    return command


def chosen() -> PayloadCodec | None:
    """The codec that --codec or the environment names. Raises ClickException when it is not there."""
    name = os.environ.get(CODEC, "")
    if not name:
        return None
    found = named("--codec", name)
    if not (callable(getattr(found, "seal", None)) and callable(getattr(found, "open", None))):
        raise click.ClickException(f"--codec {name} isn't a codec such as Sealed(KeyFolder('keys')): {found!r:.100}")
    return found  # type: ignore[no-any-return]


def redact_chosen() -> Redact | None:
    """The function that --redact or the environment names. Raises ClickException when it is not there."""
    name = os.environ.get(REDACT, "")
    if not name:
        return None
    found = named("--redact", name)
    if not callable(found):
        raise click.ClickException(f"--redact {name} isn't a function from text to text: {found!r:.100}")
    return found  # type: ignore[no-any-return]


def carry_chosen() -> list[ContextVar[Any]]:
    """The ContextVars that --carry or the environment names. Raises ClickException."""
    name = os.environ.get(CARRY, "")
    found = named("--carry", name) if name else []
    found = [found] if isinstance(found, ContextVar) else found
    if not isinstance(found, list | tuple) or not all(isinstance(one, ContextVar) for one in found):
        raise click.ClickException(f"--carry {name} isn't a ContextVar, nor a list of them: {found!r:.100}")
    return list(found)


def named(option: str, name: str) -> Any:
    """What an option names as MODULE:NAME. Raises ClickException."""
    module_name, _, attribute = name.partition(":")
    if not attribute:
        raise click.ClickException(f"{option} {name}: write MODULE:NAME, the module and what is called so in it")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except Exception as error:
        raise click.ClickException(f"{option} {name}: {type(error).__name__}: {error}") from error


@click.group()
def keys() -> None:
    """Manage the keys that seal values (a KeyFolder)."""


_folder = click.option(
    "--keys",
    "folder",
    envvar="DURABLE_SAGA_KEYS",
    required=True,
    type=click.Path(file_okay=False),
    help="Folder of the keys.",
)


@keys.command()
@click.argument("name")
@_folder
def create(name: str, folder: str) -> None:
    """Create the first or the next key of NAME. Values are sealed with the new key from now on."""
    try:
        print(_keys(folder).create(name), flush=True)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error


@keys.command("list")
@_folder
def list_keys(folder: str) -> None:
    """List the ids of all keys."""
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
    """Erase all keys of NAME. Values sealed with them can never be opened again, not even those in a backup."""
    from durable_saga.errors import MissingKey

    if not yes:
        click.confirm(f"Everything that was sealed for {name!r} will be lost. Erase its keys?", abort=True)
    try:
        erased = _keys(folder).erase(name)
    except (MissingKey, OSError) as error:
        raise click.ClickException(str(error)) from error
    print(f"erased: {', '.join(erased)}", flush=True)


def _keys(folder: str) -> KeyFolder:
    from durable_saga.sealing import KeyFolder

    return KeyFolder(folder)


COMMANDS: tuple[click.Command, ...] = (keys,)
