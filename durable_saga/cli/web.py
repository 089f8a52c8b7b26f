"""The web page: a command of its own, and beside the server of `dev`. Needs the extra `page`, and says so."""

from __future__ import annotations

import asyncio
import logging
import pathlib
import signal
from typing import Any

import click

from durable_saga.cli import output
from durable_saga.cli.codecs import chosen
from durable_saga.cli.logs import LogStyle, log_options
from durable_saga.cli.metrics import metrics_option
from durable_saga.cli.secured import Command, client_options, insecure, page_tls_options
from durable_saga.machine import Machine
from durable_saga.pb.listening import is_loopback
from durable_saga.pb.versions import versions
from durable_saga.telemetry.telling import Telling

NEEDS = "the web page needs `pip install 'durable-saga[page]'`"


def _bind(url: str, listen: str, **options: Any) -> Any:
    """Raises ImportError without the extra, ValueError and OSError, and ClickException for a codec that is not there."""
    from durable_saga.page.serving import bind

    return bind(url, listen, codec=chosen(), **options)


def door_options(command: Command) -> Command:
    """TLS and the log-in."""
    for option in (
        click.option(
            "--token",
            envvar="DURABLE_SAGA_PAGE_TOKEN",
            default="",
            help="One token for everybody. Better give it in the environment (DURABLE_SAGA_PAGE_TOKEN): others see options.",
        ),
        click.option(
            "--sign-in", is_flag=True, help="People log in with a token of the server, and may do what the token may."
        ),
        click.option(
            "--oidc-issuer",
            envvar="DURABLE_SAGA_OIDC_ISSUER",
            default="",
            help="Log in by OpenID Connect: URL of the provider.",
        ),
        click.option(
            "--oidc-client-id", envvar="DURABLE_SAGA_OIDC_CLIENT_ID", default="", help="Client id of the page at the provider."
        ),
        click.option(
            "--oidc-secret-file", envvar="DURABLE_SAGA_OIDC_SECRET_FILE", default="", help="File with the client secret."
        ),
        click.option(
            "--public-url", envvar="DURABLE_SAGA_PAGE_URL", default="", help="Address of the page in browsers: https://NAME."
        ),
        click.option(
            "--behind-tls", is_flag=True, help="A proxy in front of the page does TLS; cookies are sent over https only."
        ),
    ):
        command = option(command)
    return page_tls_options(insecure(command))


def _door(
    *, oidc_issuer: str, oidc_client_id: str, oidc_secret_file: str, public_url: str, token: str, **options: Any
) -> Any:  # fmt: skip
    """Raises ImportError, ValueError and OSError."""
    from durable_saga.page.oidc import OidcSettings
    from durable_saga.page.serving import Door

    oidc = None
    if bool(oidc_issuer) != bool(oidc_client_id):
        raise ValueError("--oidc-issuer and --oidc-client-id go together: one of them is missing")
    if oidc_issuer:
        secret = _secret_in(oidc_secret_file) if oidc_secret_file else ""
        oidc = OidcSettings(oidc_issuer, oidc_client_id, secret, public_url)
    return Door(oidc=oidc, token=token.strip(), **options)


def _secret_in(file: str) -> str:
    """Raises ValueError and OSError, which name the file."""
    try:
        secret = pathlib.Path(file).read_text().strip()
    except UnicodeDecodeError:
        raise ValueError(f"{file}: the secret of the OpenID client isn't text in UTF-8") from None
    if not secret or not secret.isprintable():
        found = "more" if secret else "nothing"
        raise ValueError(f"{file}: the secret of the OpenID client must be one line of text, and the file holds {found}")
    return secret


@click.command()
@click.argument("url", envvar="DURABLE_SAGA_URL", default="localhost:7233")
@click.option(
    "--namespace", envvar="DURABLE_SAGA_NAMESPACE", default="default", show_default=True, help="Namespace of the sagas shown."
)
@click.option("--listen", default="127.0.0.1:8233", show_default=True, help="HOST:PORT; port 0 picks a free one.")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    help="A name under which browsers find the page, beside localhost. May be given more than once.",
)
@door_options
@client_options
@metrics_option
@log_options
def page(
    url: str, namespace: str, listen: str, hosts: tuple[str, ...], metrics: str, log: LogStyle, **door: Any
) -> None:  # fmt: skip
    """Run the web page until SIGTERM. URL is host:port of a server, or the URL of a journal."""
    log.begin(level=logging.WARNING, verbose_level=logging.INFO)
    output.run(_page(url, listen, door, metrics, namespace=namespace, hosts=hosts))


async def _page(url: str, listen: str, door: dict[str, Any], metrics: str, **options: Any) -> None:
    try:
        one = _bind(url, listen, door=_door(**door), **options)
    except ImportError as error:
        raise click.ClickException(f"{error}: {NEEDS}") from error
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, one.stop)
    async with Telling(metrics, "page", Machine.monotonic, versions()) as told:
        told.say()
        click.echo(f"page on {one.address}")
        await one.run()


class Beside:
    """The page in the process of a server: it says where it is, or why it isn't, and never ends the server."""

    def __init__(self, listen: str) -> None:
        self._listen = listen
        self._page: Any = None
        self._task: asyncio.Task[None] | None = None

    def start(self, url: str) -> None:
        if not is_loopback(self._listen.rpartition(":")[0]) and ":" in self._listen:
            click.echo(
                f"no page: {self._listen} can be reached from other machines; use `durable-saga page`, which has TLS and logins"
            )
            return
        try:
            self._page = _bind(url, self._listen)
        except ImportError:
            click.echo(f"no page: {NEEDS}")
        except (OSError, ValueError, click.ClickException) as error:
            click.echo(f"no page: {error}")
        else:
            logging.getLogger("uvicorn").setLevel(logging.WARNING)
            self._task = asyncio.create_task(self._page.run(), name="page")
            click.echo(f"page on {self._page.address}")

    async def stop(self) -> None:
        """Before the server, which waits for the calls of its clients. May be called again."""
        if self._task is not None:
            self._page.stop()
            await asyncio.gather(self._task, return_exceptions=True)


COMMANDS: tuple[click.Command, ...] = (page,)
