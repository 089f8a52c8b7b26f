"""`durable-saga health`: gRPC's own health check, over TLS too, for probes of containers. Needs no extra and no token."""

from __future__ import annotations

import asyncio

import click
import grpc
import grpc.aio

from durable_saga.cli import output
from durable_saga.cli.operate import url_option
from durable_saga.transport.credentials import SCHEME, Credentials, credentials_of
from durable_saga.transport.handshake import Reasons

CHECK = "/grpc.health.v1.Health/Check"
_SERVING = b"\x08\x01"
"""HealthCheckResponse(status=SERVING); the request for the whole server is empty. So the extra `server` is not needed here."""


@click.command()
@click.option("--timeout", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Seconds for each server.")
@url_option
def health(timeout: float, url: str) -> None:
    """Ask each server of the URL whether it is serving. The exit code is 1 if one of them isn't."""
    output.run(_ask_all(url, timeout))


async def _ask_all(url: str, seconds: float) -> None:
    """Raises ClickException, ValueError and OSError."""
    targets = [one.strip() for one in url.removeprefix(SCHEME).split(",")]
    if "://" in url.removeprefix(SCHEME) or not all(one.rpartition(":")[2].isdigit() for one in targets):
        raise ValueError(f"{url!r} isn't the address of a server: give host:port, or grpcs://host:port")
    credentials = credentials_of(tls=url.startswith(SCHEME))
    for target in targets:
        await _ask(target, credentials, seconds)
        click.echo(f"{target} is serving")


async def _ask(target: str, credentials: Credentials, seconds: float) -> None:
    async with credentials.channel(target, ()) as channel:
        try:
            async with asyncio.timeout(seconds):
                answer = await channel.unary_unary(CHECK, bytes, bytes)(b"")
        except TimeoutError:
            raise click.ClickException(f"{target} did not answer within {seconds:g} s") from None
        except grpc.aio.AioRpcError as error:
            reason = await Reasons(credentials).of(target, error.details() or "")
            told = reason.text if reason is not None else f"{error.code().name}: {error.details()}"
            raise click.ClickException(f"{target} could not be asked: {told}") from error
    if answer != _SERVING:
        raise click.ClickException(
            f"{target} is there but not serving: it is starting or stopping, or its journal does not answer"
        )


COMMANDS: tuple[click.Command, ...] = (health,)
