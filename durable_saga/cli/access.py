"""Commands on who may come in: tokens, and who one is."""

from __future__ import annotations

import getpass
from datetime import datetime
from typing import Any

import click

from durable_saga.cli import output
from durable_saga.cli.operate import TIME, TIME_FORM, TIME_HELP, url_option, with_client
from durable_saga.client import raw
from durable_saga.client.client import Client
from durable_saga.pb import access_pb2 as a

DAY_MS = 86_400_000
_within = click.option("--namespace", default="", help="Only tokens for this namespace; default: all tokens.")


def _rights(rights: a.Rights) -> str:
    types = f" of {', '.join(rights.saga_types)}" if "worker" in rights.roles and list(rights.saga_types) != ["*"] else ""
    return f"{', '.join(rights.roles)}{types} in {', '.join(rights.namespaces)}"


def _who() -> str:
    """Of a journal that is opened here; a server puts in whom it knows."""
    try:
        return getpass.getuser()
    except OSError:
        return "unknown"


def _as_dict(token: a.Token) -> dict[str, Any]:
    return {
        "id": token.id, "name": token.name, "roles": list(token.rights.roles), "namespaces": list(token.rights.namespaces),
        "saga_types": list(token.rights.saga_types), "made_ms": token.made_ms, "made_by": token.made_by,
        "expires_ms": token.expires_ms, "revoked_ms": token.revoked_ms,
    }  # fmt: skip


@click.group()
def token() -> None:
    """Manage the tokens of programs and people. No server needs to run if --url is a journal."""


@token.command()
@click.argument("name")
@click.option("--role", "roles", multiple=True, required=True, help="reader, sender, operator, worker, monitor or admin.")
@click.option(
    "--namespace", "namespaces", multiple=True, help="A namespace, or the start of names with a * (shop*); default: all."
)
@click.option(
    "--saga-type",
    "types",
    multiple=True,
    help="For a worker: a saga type, or the start of names with a * (order*); default: all.",
)
@click.option(
    "--days", type=click.IntRange(min=1, max=36_500), default=None, help="Days until the token expires; default: never."
)
@url_option
def create(
    name: str, roles: tuple[str, ...], namespaces: tuple[str, ...], types: tuple[str, ...], days: int | None, url: str
) -> None:  # fmt: skip
    """Create a token for a program or a person.

    Histories and the audit log show NAME. The token is printed only now: the server stores a hash of it, not the token."""
    rights = a.Rights(roles=roles, namespaces=namespaces or ["*"], saga_types=types or ["*"])
    request = a.GrantRequest(name=name, rights=rights, lifetime_ms=(days or 0) * DAY_MS, who=_who())

    async def work(client: Client) -> a.GrantReply:
        made: a.GrantReply = await client.transport.call("grant", request)
        return made

    made = with_client(work, url, "default")
    if output.is_terminal():
        click.echo(f"token {made.made.id} for {name}: {_rights(made.made.rights)}. The token is shown only now:", err=True)
    click.echo(made.token)


@token.command("list")
@_within
@url_option
def list_tokens(namespace: str, url: str) -> None:
    """List all tokens, including revoked and expired ones."""

    async def work(client: Client) -> a.TokensReply:
        found: a.TokensReply = await client.transport.call("tokens", a.TokensRequest(namespace=namespace))
        return found

    found = with_client(work, url, "default").tokens
    if output.is_terminal():
        rows = [
            (one.id, one.name, _rights(one.rights), output.when(one.made_ms), one.made_by, output.when(one.expires_ms),
             output.when(one.revoked_ms)) for one in found
        ]  # fmt: skip
        output.table(("id", "name", "may be", "made", "by", "expires", "revoked"), rows)
    else:
        for one in found:
            output.print_json(_as_dict(one))


@token.command()
@click.argument("id")
@_within
@url_option
def revoke(id: str, namespace: str, url: str) -> None:
    """Revoke a token, and end the streams that were opened with it."""
    request = a.RevokeRequest(id=id, namespace=namespace, who=_who())

    async def work(client: Client) -> a.RevokeReply:
        revoked: a.RevokeReply = await client.transport.call("revoke", request)
        return revoked

    output.print_json(_as_dict(with_client(work, url, "default").token))


@click.command()
@url_option
def whoami(url: str) -> None:
    """Show who you are to the server, and what you may do."""
    known = with_client(raw.identify, url, "default")
    rights = [
        {"roles": list(one.roles), "namespaces": list(one.namespaces), "saga_types": list(one.saga_types)}
        for one in known.rights
    ]  # fmt: skip
    output.print_json({"name": known.name, "kind": known.kind, "rights": rights, "expires_ms": known.expires_ms})


@click.command()
@click.option("--namespace", default="", help="Only this namespace; default: all.")
@click.option("--who", default="", help="Only what this person or program did.")
@click.option("--verb", default="", help="Only this action: Cancel, Start, Grant, Work, Login, ...")
@click.option("--saga", default="", help="Only what was done to this saga, worker or token.")
@click.option(
    "--since", type=TIME, default=None, metavar=TIME_FORM, help=f"Only what was done at this time or later. {TIME_HELP}"
)
@click.option("--until", type=TIME, default=None, metavar=TIME_FORM, help="Only what was done before this time.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many entries to show.")
@url_option
def audit(limit: int, since: datetime | None, until: datetime | None, url: str, **asked: str) -> None:
    """Show who did what, newest first."""
    request = a.AuditRequest(since_ms=_ms(since), until_ms=_ms(until), **asked)  # type: ignore[arg-type]  # they are texts

    async def work(client: Client) -> list[a.AuditEntry]:
        found: list[a.AuditEntry] = []
        while True:
            request.limit = min(limit - len(found), 1_000)
            page = await client.transport.call("audit", request)
            found += page.entries
            request.page = page.next_page
            if len(found) >= limit or not page.next_page:
                return found

    found = with_client(work, url, "default")
    if output.is_terminal():
        headers = ("when", "who", "what", "namespace", "to", "outcome", "from", "detail")
        rows = [
            (output.when(one.at_ms), one.who, one.verb, one.namespace, one.saga, one.outcome, one.origin, one.detail)
            for one in found
        ]
        output.table(headers, rows)
    else:
        for one in found:
            output.print_json({
                "at_ms": one.at_ms, "who": one.who, "kind": one.kind, "verb": one.verb, "namespace": one.namespace,
                "saga": one.saga, "outcome": one.outcome, "origin": one.origin, "detail": one.detail,
            })  # fmt: skip


def _ms(time: datetime | None) -> int:
    return 0 if time is None else int((time if time.tzinfo is not None else time.astimezone()).timestamp() * 1000)


COMMANDS: tuple[click.Command, ...] = (token, whoami, audit)
