"""Options of TLS and identity: those of a process that listens, and those of one that connects.

A client's options are put into the environment, where `connect()` finds them: so a worker's processes have them too. There is
no option for a token itself, which would stand in process lists.
"""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from durable_saga.pb.tls_files import TlsFiles
from durable_saga.transport.credentials import PREFIX

if TYPE_CHECKING:
    from durable_saga_server.access.policy import Policy

Command = Callable[..., Any]
_FILE = click.Path(exists=True, dir_okay=False)
insecure = click.option(
    "--insecure",
    is_flag=True,
    help="Listen beyond loopback without TLS and identity. Only where nobody else can reach the port.",
)


@dataclass(frozen=True, slots=True)
class Door:
    """What a server asks of who comes."""

    tls: TlsFiles | None = None
    access: str | None = None
    """A file."""
    tokens: bool = False
    audit_days: int = 400


def _to_environment(name: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    def keep(_: click.Context, __: click.Parameter, value: str | None) -> None:
        if value is not None:
            os.environ[PREFIX + name] = os.path.abspath(value)

    return keep


def client_options(command: Command) -> Command:
    """--ca, --cert, --cert-key and --token-file."""
    told = {
        "ca": ("CA", "PEM file of the CA that signed the server's certificate; default: the system's CAs."),
        "cert": ("CERT", "PEM file of a client certificate."), "cert-key": ("KEY", "PEM file of the private key of --cert."),
        "token-file": ("TOKEN_FILE", "File with your token."),
    }  # fmt: skip
    for option, (name, text) in told.items():
        command = click.option(
            f"--{option}", type=_FILE, expose_value=False, callback=_to_environment(name), help=f"{text} [{PREFIX}{name}]"
        )(command)
    return command


def server_options(command: Command) -> Command:
    """Gives the command a `door`."""

    @click.option("--tls-cert", type=_FILE, envvar=f"{PREFIX}TLS_CERT", help="PEM file of the server's certificate chain.")
    @click.option("--tls-key", type=_FILE, envvar=f"{PREFIX}TLS_KEY", help="PEM file of the server's private key.")
    @click.option(
        "--client-ca",
        type=_FILE,
        envvar=f"{PREFIX}CLIENT_CA",
        help="PEM file of a CA. Clients must show a certificate from it.",
    )
    @click.option(
        "--access", type=_FILE, envvar=f"{PREFIX}ACCESS", help="File that says who gets which role (docs/identity.md)."
    )
    @click.option("--tokens", is_flag=True, envvar=f"{PREFIX}TOKENS", help="Accept tokens made by `durable-saga token create`.")
    @click.option(
        "--audit-days", type=click.IntRange(1, 7_000), default=400, show_default=True, envvar=f"{PREFIX}AUDIT_DAYS",
        help="How many days to keep the audit log.",
    )  # fmt: skip
    @functools.wraps(command)
    def with_door(
        *, tls_cert: str | None, tls_key: str | None, client_ca: str | None, access: str | None, tokens: bool,
        audit_days: int, **options: Any,
    ) -> Any:  # fmt: skip
        return command(door=Door(tls_of(tls_cert, tls_key, client_ca), access, tokens, audit_days), **options)

    return with_door


def page_tls_options(command: Command) -> Command:
    """Gives the command `tls`."""

    @click.option("--tls-cert", type=_FILE, envvar=f"{PREFIX}PAGE_TLS_CERT", help="PEM file of the page's certificate chain.")
    @click.option("--tls-key", type=_FILE, envvar=f"{PREFIX}PAGE_TLS_KEY", help="PEM file of the page's private key.")
    @click.option("--client-ca", type=_FILE, help="PEM file of a CA. Browsers must show a certificate from it.")
    @functools.wraps(command)
    def with_tls(*, tls_cert: str | None, tls_key: str | None, client_ca: str | None, **options: Any) -> Any:
        return command(tls=tls_of(tls_cert, tls_key, client_ca), **options)

    return with_tls


def tls_of(cert: str | None, key: str | None, client_ca: str | None) -> TlsFiles | None:
    """Raises ClickException."""
    if bool(cert) != bool(key):
        raise click.ClickException("--tls-cert and --tls-key go together: one of them is missing")
    if not cert or not key:
        if client_ca:
            raise click.ClickException("--client-ca needs TLS: give --tls-cert and --tls-key too")
        return None
    try:
        return TlsFiles(cert, key, client_ca or "")
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def policy_of(file: str | None) -> Policy | None:
    """Raises ClickException."""
    if file is None:
        return None
    from durable_saga_server.access.policy import read_policy

    try:
        return read_policy(pathlib.Path(file).read_text())
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{file}: {error}") from error
