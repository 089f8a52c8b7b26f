"""What a command prints, and how it fails."""

from __future__ import annotations

import datetime
import sys
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any

import click
from durable_saga_server.journal import JournalError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from durable_saga.cli.event_loop import run_fast
from durable_saga.client.overview import Statistics
from durable_saga.client.readable import as_dict, as_json, printable, value_of
from durable_saga.errors import DurableSagaError, render_failure
from durable_saga.failures.remade import failure_info
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb.limits import seconds_of, status_name

COLOURS = {
    "COMPLETED": "green", "RUNNING": "cyan", "COMPENSATING": "yellow", "COMPENSATED": "yellow", "CANCELLED": "yellow",
    "FAILED": "red", "TERMINATED": "red", "COMPENSATION_STUCK": "bold red", "CONTINUED": "cyan", "HELD": "bold magenta",
}  # fmt: skip


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a command's work; an error of ours, of a journal or of the system, or an extra that is missing, is one sentence."""
    try:
        return run_fast(work)
    except (DurableSagaError, JournalError, ImportError, ValueError, TypeError, OSError, RuntimeError) as error:
        raise click.ClickException(printable(str(error)) or type(error).__name__) from error
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None


def is_terminal() -> bool:
    return sys.stdout.isatty()


def print_json(value: Any) -> None:
    print(printable(as_json(value)))


def when(ms: int) -> str:
    if not ms:
        return ""
    return datetime.datetime.fromtimestamp(seconds_of(ms), datetime.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def at(time: datetime.datetime | None) -> str:
    """As `when`."""
    return "" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def status_of(one: c.Description) -> str:
    return (
        status_name(one.status)
        + (" (blocked)" if one.blocked else "")
        + (" (paused)" if one.paused else "")
        + (f" (starts {when(one.starts_ms)})" if one.starts_ms else "")
    )


def shown(text: str) -> str:
    """A text of a journal within what a terminal is told."""
    return escape(printable(text))


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = Table(*headers, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        lines.add_row(*(f"[{COLOURS[cell]}]{cell}[/]" if cell in COLOURS else shown(cell) for cell in row))
    Console().print(lines)


def print_description(one: c.Description) -> None:
    if not is_terminal():
        print_json(as_dict(one))
        return
    console = Console()
    status = status_name(one.status)
    console.print(f"[bold]{shown(one.key.saga)}[/]  {shown(one.saga_type)}  [{COLOURS.get(status, 'white')}]{status}[/]")
    console.print(f"started {when(one.started_ms)}  ended {when(one.ended_ms) or '-'}  events {one.next_seq}")
    console.print(f"owner {shown(one.owner) or '-'} (epoch {one.epoch})  wakes {when(one.wake_at_ms) or '-'}")
    if one.previous_run or one.next_run:
        goes_on = "continues" if one.status == h.CONTINUED else "was restarted"
        after = f"{goes_on} in run {one.next_run}" if one.next_run else "is the newest"
        before = f", after run {one.previous_run}" if one.previous_run else ""
        console.print(f"run {one.key.run} {after}{before}", highlight=False)
    if one.restarted:
        console.print(f"restarted {shown(one.restarted)}", highlight=False)
    if one.attributes:
        console.print(
            "attributes",
            printable(", ".join(f"{name}={one.attributes[name]}" for name in sorted(one.attributes))),
            markup=False,
        )
    if one.status == h.HELD:
        console.print("[magenta]held:[/] a step failed, and the saga waits for `recover` or `compensate`", highlight=False)
    for sentence in _where_it_stands(one):
        console.print(sentence, highlight=False)
    if one.warning:
        console.print(f"[yellow]warning:[/] {shown(one.warning)}", highlight=False)
    if one.damaged:
        console.print(f"[red]damaged:[/] {shown(one.damaged)}", highlight=False)
    elif one.blocked:
        console.print(f"[red]blocked:[/] {shown(one.blocked)}", highlight=False)
    rows = [
        (s.call, s.name, s.state, str(s.attempts), _last_error(s)[:60], s.compensation, s.compensation_state) for s in one.steps
    ]
    table(("call", "step", "state", "attempts", "last error", "compensation", "state"), rows)
    if one.messages:
        sent = [
            (m.state, m.kind, " ".join(filter(None, (m.name, m.call))), when(m.received_ms), m.who, _why(m)[:60])
            for m in one.messages
        ]
        table(("message", "kind", "name", "received", "by", "why"), sent)
    if one.messages_left_out:
        console.print(f"and {one.messages_left_out} more messages", highlight=False)
    for key, value in sorted(one.state.items()):
        console.print(printable(f"state {key} = {_plain(value)}"), markup=False)
    if one.HasField("result") and one.result.data:
        console.print(printable(f"result {_plain(one.result)}"), markup=False)
    if one.HasField("failure") and one.status != h.COMPLETED:
        console.print(printable(render_failure(failure_info(one.failure))), markup=False, highlight=False)


def _where_it_stands(one: c.Description) -> Iterator[str]:
    if one.starts_ms:
        yield f"starts {when(one.starts_ms)}: it has not begun"
    if one.HasField("memo"):
        yield f"memo {shown(_plain(one.memo))}"
    if one.paused:
        yield f"[yellow]paused[/] {shown(one.paused)}"
    if one.settling:
        yield "settling: the code has finished; steps in doubt are undone before the saga ends"
    if one.from_journal:
        yield f"undone from the journal, without the saga's code: {shown(one.from_journal)}"
    if one.past_pivot:
        yield "past its pivot: the saga can only go forward"


def _plain(payload: p.Payload) -> str:
    value = value_of(payload)
    return value if isinstance(value, str) else repr(value)


def _why(message: c.MessageView) -> str:
    return f"{message.failure.type}: {message.failure.message}" if message.HasField("failure") else message.reason


def _last_error(step: c.StepView) -> str:
    """Of the step, or of the compensation that an operator has to see to."""
    return step.compensation_error if step.compensation_state in ("stuck", "retrying") else step.last_error


def print_statistics(found: Statistics) -> None:
    if not is_terminal():
        shown_alone = {"paused": found.paused, "paused_types": found.paused_types, "by_state": found.by_state}
        counted = {"by_status": found.by_status, "by_type": found.by_type, "blocked_by_type": found.blocked_by_type}
        print_json(counted | {name: value for name, value in shown_alone.items() if value})
        return
    statuses = [name.lower() for name in h.Status.keys()[1:] if found.by_status.get(name.lower())]
    rows = [
        (saga_type, *(str(counts.get(status, 0)) for status in statuses), str(found.blocked_by_type.get(saga_type, 0)))
        for saga_type, counts in sorted(found.by_type.items())
    ]
    every = ("all", *(str(found.by_status[status]) for status in statuses), str(found.blocked))
    table(("type", *statuses, "of these blocked"), [*rows, every])
    for saga_type, states in sorted(found.by_state.items()):
        counted_so = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(states.items()))
        print(printable(f"{saga_type}: {'at least ' if found.at_least else ''}{counted_so}"))
    for saga_type, count in sorted(found.paused.items()):
        print(printable(f"{saga_type}: {count} paused"))
    for saga_type, words in found.paused_types.items():
        print(printable(f"{saga_type}: paused with all sagas of the type {words}"))


def print_reasons(blocked: Sequence[c.Description]) -> None:
    """Why they are blocked, the most frequent reason first."""
    counted = Counter((one.saga_type, reason_of(one.blocked)) for one in blocked)
    table(("type", "blocked", "why"), [(kind, str(count), why) for (kind, why), count in counted.most_common()])


def reason_of(blocked: str) -> str:
    """The last line has the error; places and stacks stand before it."""
    return blocked.strip().splitlines()[-1] if blocked.strip() else ""
