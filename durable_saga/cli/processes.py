"""Commands that run until they are stopped: server, worker, both; and the journal's tables."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import click

from durable_saga.authoring.saga import SagaFunction
from durable_saga.cli import output
from durable_saga.cli.codecs import carry_chosen, chosen, redact_chosen
from durable_saga.cli.hooked import find_hooks, hooks_option
from durable_saga.cli.logs import LogStyle, log_options
from durable_saga.cli.metrics import begin_otel, health_grpc_option, metrics_option, of_process, otel_option, worker_readiness
from durable_saga.cli.purging import purge, retention
from durable_saga.cli.secured import Door, client_options, insecure, policy_of, server_options
from durable_saga.cli.stopping import stop_on_signals
from durable_saga.cli.supervising import end_with_parent, supervise
from durable_saga.client.connect import connect
from durable_saga.declared.compiled import function_of
from durable_saga.declared.declarative import AnySaga, Saga
from durable_saga.errors import DurableSagaError, render_failure
from durable_saga.failures.failures import failure_from_exception
from durable_saga.failures.remade import failure_info
from durable_saga.hooks import Hook
from durable_saga.machine import Machine
from durable_saga.pb.versions import versions
from durable_saga.telemetry.telling import Telling
from durable_saga.watchdog import ACTIVATION_SECONDS_MAX, watch_the_lock
from durable_saga.worker.build import BUILD_VARIABLE, checked_build
from durable_saga.worker.lifespan import WorkerLifespan
from durable_saga.worker.worker import Worker

_journal = click.option(
    "--journal", envvar="DURABLE_SAGA_JOURNAL", required=True, help="sqlite:///FILE or cassandra://HOSTS/KEYSPACE"
)
listening = click.option("--listen", default="127.0.0.1:7233", show_default=True, help="HOST:PORT; port 0 picks a free one.")


def say(text: str) -> None:
    print(text, flush=True)


def serve_here(
    journal: str, listen: str, strict: bool, retention_ms: int, advertise: str = "", *, door: Door | None = None,
    insecure: bool = False, ready: Callable[[str], None] = say, **options: Any,
) -> Any:  # fmt: skip
    try:
        from durable_saga_server.config import Config
        from durable_saga_server.incoming.serving import serve
    except ImportError as error:
        raise click.ClickException(f"{error}: install the server with `pip install 'durable-saga[server]'`") from error
    try:
        config = Config(retention_ms=retention_ms)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--retention") from error
    door = door or Door()
    return serve(
        journal, listen, strict=strict, advertise=advertise, config=config, ready=ready, tls=door.tls,
        policy=policy_of(door.access), tokens=door.tokens, audit_kept_ms=door.audit_days * 86_400_000, insecure=insecure,
        **options,
    )  # fmt: skip


@click.command()
@_journal
@listening
@click.option("--strict/--no-strict", default=True, help="Refuse a Cassandra whose settings are too weak for the promises.")
@click.option("--advertise", default="", help="HOST:PORT at which workers and clients reach this server; default: --listen.")
@retention
@server_options
@insecure
@metrics_option
@otel_option
@log_options
def server(
    journal: str, listen: str, strict: bool, advertise: str, retention: int, door: Door, insecure: bool, metrics: str,
    otel: bool, log: LogStyle,
) -> None:  # fmt: skip
    """Run a history server until SIGTERM. Several servers on one journal form a cell and share the work."""
    log.begin()
    begin_otel(otel)
    output.run(serve_here(journal, listen, strict, retention, advertise, door=door, insecure=insecure, metrics=metrics))


def _build(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    try:
        return checked_build(name) if name else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("app")
@click.option(
    "--url", envvar="DURABLE_SAGA_URL", default="localhost:7233", show_default=True,
    help="host:port of the servers, with commas between them, or grpcs://host:port.",
)  # fmt: skip
@click.option(
    "--namespace", envvar="DURABLE_SAGA_NAMESPACE", default="default", show_default=True, help="Namespace of the sagas."
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="How many steps may run at once in one process.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many worker processes to run. A process that dies is started again.",
)
@click.option(
    "--activation-seconds-max",
    type=click.FloatRange(min=0.1),
    default=ACTIVATION_SECONDS_MAX,
    show_default=True,
    help="Saga code that runs longer than this without an await is stopped, and its saga is blocked.",
)
@click.option(
    "--step-timeout",
    type=click.FloatRange(min=0.001),
    help="Seconds for one attempt of a step that has no time-out of its own.",
)
@click.option(
    "--build", envvar=BUILD_VARIABLE, callback=_build, help="Name of this build of the code; default: made from its files."
)
@hooks_option
@client_options
@metrics_option
@health_grpc_option
@otel_option
@log_options
def worker(
    app: str, url: str, namespace: str, concurrency: int, processes: int, activation_seconds_max: float,
    step_timeout: float | None, build: str | None, hooks: tuple[str, ...], metrics: str,
    health_grpc: str, otel: bool, log: LogStyle,
) -> None:  # fmt: skip
    """Run sagas until SIGTERM. APP is a module (shop.orders), or one saga in it (shop.orders:place_order)."""
    log.begin()
    sagas = find_sagas(app)  # a mistake in APP is told once, not by each process
    found = find_hooks(hooks)
    options = url, namespace, concurrency, activation_seconds_max, step_timeout, build
    if processes > 1:  # each of them opens its own lifespans
        try:
            addresses = [
                (of_process(metrics, number), of_process(health_grpc, number, "--health-grpc")) for number in range(processes)
            ]
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        supervise(_child, [(log, otel, app, hooks, *options, address) for address in addresses])
    else:
        begin_otel(otel)
        output.run(run_worker(sagas, find_lifespans(app), *options, (metrics, health_grpc), found))


async def run_worker(
    sagas: list[AnySaga], lifespans: list[WorkerLifespan], url: str, namespace: str = "default", concurrency: int = 100,
    seconds: float = ACTIVATION_SECONDS_MAX, step_timeout: float | None = None, build: str | None = None,
    told_at: tuple[str, str] = ("", ""), hooks: Sequence[Hook] = (),
) -> None:  # fmt: skip
    stopping = asyncio.Event()
    async with (
        Telling(told_at[0], "worker", Machine.monotonic, versions(), told_at[1]) as told,
        connect(url, namespace=namespace, codec=chosen(), redact=redact_chosen(), carry=carry_chosen()) as client,
    ):
        told.say()
        told.health.checks.append(worker_readiness(stopping.is_set))
        one = Worker(
            client, sagas=sagas, concurrency=concurrency, activation_seconds_max=seconds, lifespans=lifespans,
            step_timeout=step_timeout, build=build, hooks=hooks,
        )  # fmt: skip
        stop_on_signals(partial(_stop, stopping, one))
        watch_the_lock()
        names = ", ".join(function_of(saga).definition.name for saga in sagas)
        saying = asyncio.create_task(_say_when(one.connected, f"worker {one.name} of build {one.build} runs {names}"))
        try:
            await one.run()
        finally:
            saying.cancel()


def _stop(stopping: asyncio.Event, one: Worker) -> None:
    stopping.set()
    one.stop()


async def _say_when(connected: asyncio.Event, text: str) -> None:
    await connected.wait()
    say(text)


def find_sagas(app: str) -> list[AnySaga]:
    """Those that are well defined; another one is told and left out. Raises ClickException when the module can't be imported,
    when it holds none, and when the one that is named is wrong."""
    module_name, _, attribute = app.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")) or module_name.endswith(".py"):
        raise click.ClickException(
            f"{app!r} isn't the name of a module: give one such as shop.orders, or shop.orders:place_order"
        )
    sys.path.insert(0, os.getcwd())
    try:
        found = _sagas_in(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{app}: {error}. Is the module importable from {os.getcwd()}?") from error
    except Exception as error:
        told = render_failure(failure_info(failure_from_exception(error)))
        raise click.ClickException(f"{app} can't be imported\n{told}") from error
    if not found:
        raise click.ClickException(f"{app} has no saga: mark a function with @saga")
    return _well_defined(found, all_wanted=bool(attribute))


def find_lifespans(app: str) -> list[WorkerLifespan]:
    """Those of the module that `find_sagas()` has imported, in their order there; imported ones too."""
    module = sys.modules[app.partition(":")[0]]
    return list(dict.fromkeys(one for one in vars(module).values() if isinstance(one, WorkerLifespan)))


def _well_defined(sagas: list[AnySaga], *, all_wanted: bool) -> list[AnySaga]:
    found: list[AnySaga] = []
    wrong: list[str] = []
    for one in sagas:
        try:
            function_of(one)
        except DurableSagaError as error:
            wrong.append(str(error))
        else:
            found.append(one)
    if wrong and (all_wanted or not found):
        raise click.ClickException("\n".join(wrong))
    for text in wrong:
        click.echo(f"left out: {text}", err=True)
    return found


def find_saga(app: str, name: str) -> AnySaga:
    """Raises ClickException, also when there is none of this name."""
    found = {function_of(one).definition.name: one for one in find_sagas(app)}
    if name not in found:
        raise click.ClickException(f"{app} has no saga {name!r}, only {', '.join(sorted(found))}")
    return found[name]


def _sagas_in(module: ModuleType, attribute: str) -> list[AnySaga]:
    value: Any = getattr(module, attribute, None) if attribute else list(vars(module).values())
    found: list[AnySaga] = []
    for one in value if isinstance(value, list | tuple) else [value]:
        declared = isinstance(one, type) and issubclass(one, Saga) and bool(one.name)
        if declared or isinstance(one, SagaFunction | Saga):
            found.append(one)
    return found


def _child(log: LogStyle, otel: bool, app: str, hooks: Sequence[str], *options: Any) -> None:
    log.begin()
    end_with_parent()
    try:
        begin_otel(otel)
        sagas = find_sagas(app)
        output.run(run_worker(sagas, find_lifespans(app), *(*options, find_hooks(hooks))))
    except click.ClickException as error:
        error.show()
        sys.exit(1)


@click.group()
def schema() -> None:
    """Create or migrate the journal's tables."""


@schema.command()
@_journal
@click.option("--strict/--no-strict", default=True, help="Refuse a Cassandra whose settings are too weak for the promises.")
def apply(journal: str, strict: bool) -> None:
    """Create or migrate the tables. Safe to run again, and on several machines at once."""

    async def work() -> None:
        from durable_saga_server.journal.open import open_journal

        opened = open_journal(journal, strict=strict)
        try:
            await opened.initialize()
        finally:
            await opened.close()

    output.run(_translated(work()))
    say("the tables are ready")


async def _translated(work: Any) -> None:
    from durable_saga_server.journal import JournalError

    try:
        await work
    except JournalError as error:
        raise ValueError(str(error)) from error


COMMANDS: tuple[click.Command, ...] = (server, worker, schema, purge)
