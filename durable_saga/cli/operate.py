"""Commands on sagas: start, look, send, decide."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

import click

from durable_saga import codec
from durable_saga.cli import output
from durable_saga.cli.codecs import chosen
from durable_saga.cli.processes import find_saga
from durable_saga.cli.secured import client_options
from durable_saga.client import raw
from durable_saga.client.client import Client, Handle
from durable_saga.client.connect import connect
from durable_saga.client.querying import QUERY_SECONDS
from durable_saga.client.readable import as_dict, printable
from durable_saga.client.times import EXAMPLES, EXAMPLES_AHEAD, time_ahead, time_in
from durable_saga.declared.compiled import function_of
from durable_saga.declared.declarative import AnySaga
from durable_saga.errors import DecodeError, InvalidArgument
from durable_saga.pb import history_pb2 as h
from durable_saga.recorded import write_history

SAY_BLOCKED_SECONDS = 1.0
TAKES_EFFECT_LATER = "It takes effect when the saga can continue. It can't now:"
UNDONE_WITHOUT_CODE = "The saga is blocked, so it is undone from its journal, without its code. It is blocked by:"
_servers = click.option(
    "--url",
    envvar="DURABLE_SAGA_URL",
    default="localhost:7233",
    show_default=True,
    help="host:port, grpcs://host:port, or the URL of a journal.",
)


def url_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where the command goes, and as whom."""
    return _servers(client_options(command))


NAMESPACE = click.option(
    "--namespace", envvar="DURABLE_SAGA_NAMESPACE", default="default", show_default=True, help="Namespace of the saga."
)


def named_value(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} isn't NAME=VALUE", param_hint=option)
    return name, value


class _Time(click.ParamType[datetime]):
    name = "time"

    def __init__(self, read: Callable[[str, datetime], datetime]) -> None:
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return value if isinstance(value, datetime) else self._read(str(value), datetime.now().astimezone())
        except InvalidArgument as error:
            self.fail(str(error), param, ctx)


TIME, TIME_AHEAD = _Time(time_in), _Time(time_ahead)
TIME_FORM = "TIME"
TIME_HELP = f"For example {EXAMPLES}. Without a zone it is local."
_run = click.option(
    "--run", type=int, default=0, help="Number of one run, for a saga that continued as new; default: the newest run."
)


def with_client(work: Callable[[Client], Awaitable[Any]], url: str, namespace: str) -> Any:
    async def go() -> Any:
        async with connect(url, namespace=namespace, codec=chosen()) as client:
            return await work(client)

    return output.run(go())


def _values(texts: tuple[str, ...]) -> list[Any]:
    """Arguments are JSON where they parse as JSON, else strings."""
    values = []
    for text in texts:
        try:
            values.append(json.loads(text))
        except json.JSONDecodeError:
            values.append(text)
    return values


def _typed(saga: AnySaga, values: list[Any]) -> list[Any]:
    """What the saga would make of them."""
    definition = function_of(saga).definition
    try:
        args, _ = codec.decode_call(codec.encode_call(values, {}, where="arguments"), definition.signature)
    except DecodeError as error:
        raise InvalidArgument(f"saga {definition.name} can't be started with this: {error}") from error
    return args


@click.command()
@click.argument("saga")
@click.argument("arguments", nargs=-1)
@click.option(
    "--id", "saga_id", help="Your own id for the saga. A second start with the same id and arguments returns the first saga."
)
@click.option("--timeout", type=float, help="Seconds for the whole saga. When they are over, the saga is undone.")
@click.option("--after", type=float, help="Begin so many seconds later.")
@click.option(
    "--at",
    type=TIME_AHEAD,
    metavar=TIME_FORM,
    help=f"Begin at this time, which is to come. For example {EXAMPLES_AHEAD}. Without a zone it is local.",
)
@click.option(
    "--if-exists",
    default="same",
    show_default=True,
    type=click.Choice(["same", "fail", "again-after-failure", "again"]),
    help="What a start of an id does that is there: take it for the same start, fail, or start it again after its end.",
)
@click.option("--window", type=float, help="An id whose saga ended more seconds ago than this can be started again.")
@click.option("--memo", multiple=True, metavar="NAME=VALUE", help="A note that `describe` shows. May be given more than once.")
@click.option(
    "--wait", is_flag=True, help="Wait until the saga ends, and print its result. The exit code is 1 unless the saga completed."
)
@click.option(
    "--app", envvar="DURABLE_SAGA_APP", help="Module of the saga. With it, the arguments are checked before the start."
)
@url_option
@NAMESPACE
def start(
    saga: str, arguments: tuple[str, ...], saga_id: str | None, timeout: float | None, after: float | None, at: datetime | None,
    if_exists: str, window: float | None, memo: tuple[str, ...], wait: bool, app: str | None, url: str, namespace: str,
) -> None:  # fmt: skip
    """Start a saga. ARGUMENTS are JSON, or plain strings: 7 is a number, '"7"' a string."""
    what = saga if app is None else find_saga(app, saga)
    options: dict[str, Any] = {
        "id": saga_id, "timeout": timeout, "after": after, "at": at, "if_exists": if_exists.replace("-", "_"),
        "window": window, "memo": dict(named_value(one, "--memo") for one in memo) or None,
    }  # fmt: skip

    async def work(client: Client) -> Any:
        values = _values(arguments)
        given = values if isinstance(what, str) else _typed(what, values)
        handle = await client.start(what, *given, **options)
        if handle.already_started and (wait or output.is_terminal()):
            click.echo(f"saga {handle.id} was started before with the same arguments; there is no second one", err=True)
        if handle.starts_at is not None:
            click.echo(f"saga {handle.id} starts at {handle.starts_at.astimezone():%Y-%m-%d %H:%M:%S %Z}", err=True)
        if handle.waits_for:
            click.echo(printable(f"saga {handle.id} is accepted and waits: {handle.waits_for}"), err=True)
        return await _result(handle) if wait else handle

    result = with_client(work, url, namespace)
    if wait:
        output.print_json(result)
    elif output.is_terminal():
        click.echo(result.id)
    else:
        output.print_json({"id": result.id, "already_started": result.already_started})


async def _result(handle: Handle[Any]) -> Any:
    """Its result. While it can't go on, the reason is said on stderr, once."""
    waiting, said = asyncio.ensure_future(handle.result()), ""
    try:
        while not (await asyncio.wait({waiting}, timeout=SAY_BLOCKED_SECONDS))[0]:
            blocked = (await handle.describe()).blocked
            if blocked and blocked != said:
                click.echo(printable(f"saga {handle.id} can't continue now: {blocked}"), err=True)
            said = blocked
        return waiting.result()
    finally:
        waiting.cancel()


@click.command()
@click.argument("saga_id")
@_run
@url_option
@NAMESPACE
def describe(saga_id: str, run: int, url: str, namespace: str) -> None:
    """Show one saga: its status, steps, compensations and error."""
    output.print_description(with_client(lambda client: raw.describe(client.handle(saga_id, run=run)), url, namespace))


@click.command()
@click.argument("saga_id")
@click.option(
    "--raw", "file", type=click.Path(dir_okay=False, writable=True), help="Also write the history to this file, for `replay`."
)
@_run
@url_option
@NAMESPACE
def history(saga_id: str, file: str | None, run: int, url: str, namespace: str) -> None:
    """Show the events of one saga."""
    events: list[h.Event] = with_client(lambda client: raw.history(client.handle(saga_id, run=run)), url, namespace)
    if file is not None:
        _write_raw(file, events)
    if output.is_terminal():
        rows = []
        for event in events:
            kind = str(event.WhichOneof("kind"))
            body = as_dict(getattr(event, kind))
            rows.append((str(event.seq), output.when(event.time_ms), kind, json.dumps(body, default=str)[:100]))
        output.table(("seq", "time", "event", ""), rows)
    else:
        for event in events:
            output.print_json(as_dict(event))


def _write_raw(path: str, events: Sequence[h.Event]) -> None:
    """Raises ClickException for a file that can't be written."""
    try:
        write_history(path, events)
    except OSError as error:
        raise click.ClickException(f"{path} can't be written: {error.strerror}") from error


def _verb(
    name: str, explains: str, words: str, work: Callable[[Handle[Any], dict[str, Any]], Awaitable[str | None]], *more: Any
) -> click.Command:  # fmt: skip
    """A command that does one thing to one saga and says so. `explains` is its help, `words` what it says afterwards."""

    def command(saga_id: str, url: str, namespace: str, **options: Any) -> None:
        waits_for = with_client(lambda client: work(client.handle(saga_id), options), url, namespace)
        if not output.is_terminal():
            output.print_json({"id": saga_id, "done": name} | ({"waits_for": waits_for} if waits_for else {}))
        elif waits_for:
            follows = TAKES_EFFECT_LATER if name == "recover" else UNDONE_WITHOUT_CODE
            click.echo(f"{saga_id}: the {name} is recorded. {follows} {waits_for}")
        else:
            click.echo(f"{saga_id}: {words.replace('CALL', options.get('call', ''))}")

    decorated: Any = command
    for parameter in (NAMESPACE, url_option, *reversed(more)):
        decorated = parameter(decorated)
    decorated.__doc__ = explains
    return click.command(name=name)(click.argument("saga_id")(decorated))


REASON = click.option("--reason", default="", help="The reason, for the history.")
_call = click.argument("call")
_note = click.option("--note", default="", help="The reason, for the history.")
_note_needed = click.option("--note", required=True, help="What was done by hand, for the history.")


@click.command()
@click.argument("saga_id")
@click.argument("name")
@click.argument("arguments", nargs=-1)
@click.option("--message-id", help="Id of this signal. A second signal with the same id has no effect.")
@url_option
@NAMESPACE
def signal(
    saga_id: str, name: str, arguments: tuple[str, ...], message_id: str | None, url: str, namespace: str
) -> None:  # fmt: skip
    """Send a signal to a saga. ARGUMENTS are JSON, or plain strings."""
    with_client(lambda client: client.handle(saga_id).signal(name, *_values(arguments), message_id=message_id), url, namespace)
    output.print_json({"id": saga_id, "signal": name})


@click.command()
@click.argument("event")
@click.argument("arguments", nargs=-1)
@click.option("--saga", "saga_id", help="Send it to this saga.")
@click.option("--key", help="Send it to every open saga that declared this correlation key.")
@click.option("--message-id", help="Id of this event. A second event with the same id has no effect.")
@url_option
@NAMESPACE
def publish(
    event: str, arguments: tuple[str, ...], saga_id: str | None, key: str | None, message_id: str | None, url: str,
    namespace: str,
) -> None:  # fmt: skip
    """Publish an event to one saga, or to all sagas with a correlation key.

    Give --saga or --key. ARGUMENTS are JSON, or plain strings."""

    async def work(client: Client) -> int:
        return await client.publish(event, *_values(arguments), saga=saga_id, key=key, message_id=message_id)

    output.print_json({"event": event, "delivered": with_client(work, url, namespace)})


@click.command()
@click.argument("saga_id")
@click.argument("name")
@click.argument("arguments", nargs=-1)
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=QUERY_SECONDS, show_default=True, help="Seconds."
)
@click.option("--app", envvar="DURABLE_SAGA_APP", help="Module of the saga. With it, this command answers without a worker.")
@_run
@url_option
@NAMESPACE
def query(
    saga_id: str, name: str, arguments: tuple[str, ...], timeout: float, app: str | None, run: int, url: str, namespace: str
) -> None:  # fmt: skip
    """Ask a saga's query NAME, in any status. Nothing is changed. ARGUMENTS are JSON, or plain strings."""

    async def work(client: Client) -> Any:
        handle: Handle[Any] = client.handle(saga_id, run=run)
        if app is not None:
            handle = client.handle(saga_id, find_saga(app, (await handle.describe()).saga_type), run=run)
        return await handle.query(name, *_values(arguments), timeout=timeout)

    output.print_json(with_client(work, url, namespace))


COMMANDS: tuple[click.Command, ...] = (
    start,
    describe,
    history,
    query,
    signal,
    publish,
    _verb(
        "cancel", "Cancel a saga. The saga stops, undoes what it has done, and ends as CANCELLED.",
        "asked to stop and to undo what it has done", lambda one, o: one.cancel(o["reason"]), REASON,
    ),
    _verb(
        "compensate", "Undo a saga. The saga stops, undoes what it has done, and ends as COMPENSATED.",
        "asked to stop and to undo what it has done", lambda one, o: one.compensate(o["reason"]), REASON,
    ),
    _verb(
        "recover", "Continue a held saga from its failed step.",
        "continues from its failed step", lambda one, o: one.recover(o["reason"]), REASON,
    ),
    _verb(
        "terminate", "End a saga at once, without undoing anything.",
        "ended at once, and nothing was undone", lambda one, o: one.terminate(o["reason"]), REASON,
    ),
    _verb(
        "retry-compensation", "Try a stuck compensation again. CALL is its number in `describe`.",
        "the compensation of CALL is tried again", lambda one, o: one.retry_compensation(o["call"], o["note"]), _call, _note,
    ),
    _verb(
        "skip-compensation", "Skip a stuck compensation for good. CALL is its number in `describe`.",
        "the compensation of CALL is skipped", lambda one, o: one.skip_compensation(o["call"], o["note"]), _call, _note,
    ),
    _verb(
        "resolve-compensation", "Record that a compensation was done by hand. CALL is its number in `describe`.",
        "the compensation of CALL is recorded as done by hand",
        lambda one, o: one.resolve_compensation(o["call"], o["note"]), _call, _note_needed,
    ),
)  # fmt: skip
