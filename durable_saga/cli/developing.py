"""`durable-saga dev`: everything that a laptop needs in one command. Server and page in this process, and the sagas of APP in a
worker beside it, which is started anew when their code changes.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from durable_saga.cli import output, web
from durable_saga.cli.logs import LogStyle, log_options
from durable_saga.cli.processes import find_lifespans, find_sagas, listening, run_worker, say, serve_here
from durable_saga.cli.purging import retention
from durable_saga.cli.secured import insecure
from durable_saga.cli.supervising import RESTART_SECONDS, STOP_SECONDS_MAX, end_with_parent
from durable_saga.client.connect import connect
from durable_saga.declared.compiled import function_of
from durable_saga.declared.declarative import AnySaga
from durable_saga.pb.listening import is_loopback
from durable_saga.rehearsal import rehearse
from durable_saga.worker.lifespan import WorkerLifespan

REHEARSED_MAX = 200
"""Open sagas that are replayed before a worker starts, the newest ones."""
CODE_IS_WRONG = 3
"""The exit code of a worker that has told what is wrong with its code: only a change helps."""
LOOK_SECONDS = 0.2
NEEDS_WATCHFILES = "--reload needs a package: `pip install 'durable-saga[dev]'`"


@click.command()
@click.argument("app", required=False)
@click.option("--reload", is_flag=True, help="Restart the worker when a Python file below this folder changes.")
@click.option(
    "--file", default="durable-saga.db", show_default=True, type=click.Path(dir_okay=False), help="SQLite file of the journal."
)
@listening
@click.option("--page/--no-page", "with_page", default=True, help="Also serve the web page.")
@click.option("--page-listen", default="127.0.0.1:8233", show_default=True, help="HOST:PORT of the web page.")
@retention
@insecure
@log_options
def dev(
    app: str | None, reload: bool, file: str, listen: str, with_page: bool, page_listen: str, retention: int, insecure: bool,
    log: LogStyle,
) -> None:  # fmt: skip
    """Run a server and the web page for development.

    The journal is one SQLite file. APP is a module (shop.orders), or one saga in it (shop.orders:place_order); give it to run
    a worker for its sagas too."""
    log.begin()
    if reload and app is None:
        raise click.UsageError(
            "--reload restarts the worker of APP: name a module, as in `durable-saga dev shop.orders --reload`"
        )
    if not insecure and not is_loopback(listen.rpartition(":")[0]):
        raise click.UsageError(
            f"{listen} can be reached from other machines, and `dev` has neither TLS nor identity: use `durable-saga server`,"
            " or --insecure if only your own programs can reach this address"
        )
    changes = _changes() if reload else None
    if app is not None and not reload:
        find_sagas(app)  # a mistake in APP is told once
    beside = web.Beside(page_listen) if with_page else None
    worker = WorkerBeside(app, log, changes) if app is not None else None
    output.run(_dev(f"sqlite:///{file}", listen, retention, insecure, beside, worker))


async def _dev(
    journal: str, listen: str, retention_ms: int, insecure: bool, beside: web.Beside | None, worker: WorkerBeside | None
) -> None:  # fmt: skip
    def ready(text: str) -> None:
        say(text)
        address = text.removeprefix("listening on ")
        if beside is not None:
            beside.start(address)
        if worker is not None:
            worker.start(address)

    async def stop() -> None:
        if worker is not None:
            await worker.stop()
        if beside is not None:
            await beside.stop()

    try:
        await serve_here(journal, listen, False, retention_ms, insecure=insecure, ready=ready, before_stop=stop)
    finally:
        await stop()


def _changes() -> Callable[[asyncio.Event], Any]:
    """What waits for changes of Python files below this folder. Raises ClickException where the package is missing."""
    try:
        from watchfiles import PythonFilter, awatch
    except ImportError as error:
        raise click.ClickException(NEEDS_WATCHFILES) from error

    def changes(stop: asyncio.Event) -> Any:
        return awatch(os.getcwd(), watch_filter=PythonFilter(), stop_event=stop, raise_interrupt=False)

    return changes


class WorkerBeside:
    """One worker process at a time. It is started anew when it dies, and when code changes; one that has told what is wrong
    with its code waits for a change."""

    def __init__(self, app: str, log: LogStyle, changes: Callable[[asyncio.Event], Any] | None) -> None:
        self._arguments: tuple[Any, ...] = (app, log)
        self._changes = changes
        self._folder = os.getcwd()
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, address: str) -> None:
        self._tasks.append(asyncio.create_task(self._run(address), name="worker beside"))
        if self._changes is not None:
            self._tasks.append(asyncio.create_task(self._watch(self._changes), name="changes"))

    async def stop(self) -> None:
        """Its sagas are given back first. May be called again."""
        self._stopping.set()
        self._changed.set()
        await asyncio.gather(*self._tasks)

    async def _watch(self, changes: Callable[[asyncio.Event], Any]) -> None:
        async for found in changes(self._stopping):
            names = sorted({path.removeprefix(f"{self._folder}{os.sep}") for _, path in found})
            say(f"{', '.join(names[:3])}{' and others' if len(names) > 3 else ''} changed: the worker restarts")
            self._changed.set()

    async def _run(self, address: str) -> None:
        context = multiprocessing.get_context("spawn")
        while not self._stopping.is_set():
            self._changed.clear()
            process = context.Process(target=_child, args=(*self._arguments, address))
            process.start()
            while process.is_alive() and not self._changed.is_set():
                await asyncio.sleep(LOOK_SECONDS)
            if self._changed.is_set():
                await _end(process)
            elif process.exitcode == CODE_IS_WRONG and self._changes is not None:
                say("the worker restarts after the next change")
                await self._changed.wait()
            elif not self._stopping.is_set():
                say(f"the worker ended with exit code {process.exitcode}: a new one starts in {RESTART_SECONDS:.0f} s")
                await asyncio.sleep(RESTART_SECONDS)


async def _end(process: Any) -> None:
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS_MAX):
            while process.is_alive():
                await asyncio.sleep(LOOK_SECONDS / 4)
    except TimeoutError:
        process.kill()
        await asyncio.to_thread(process.join)


def _child(app: str, log: LogStyle, address: str) -> None:
    log.begin()
    end_with_parent()
    try:
        sagas = find_sagas(app)
    except click.ClickException as error:
        error.show()
        sys.exit(CODE_IS_WRONG)
    try:
        output.run(_rehearse_and_work(sagas, find_lifespans(app), address))
    except click.ClickException as error:  # the server, say: another try may go well
        error.show()
        sys.exit(1)


async def _rehearse_and_work(sagas: list[AnySaga], lifespans: list[WorkerLifespan], address: str) -> None:
    async with connect(address) as client:
        definitions = [function_of(one).definition for one in sagas]
        async for one in rehearse(client, definitions, sagas_max=REHEARSED_MAX):
            if one.misfit is not None:
                say(f"open saga {one.id} of {one.saga_type} can't continue with this code: {one.misfit.why}")
    await run_worker(sagas, lifespans, address)


COMMANDS: tuple[click.Command, ...] = (dev,)
