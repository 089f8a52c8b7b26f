"""Recorded histories replay for ever: a file that stops doing so is a broken promise to sagas that are under way."""

from __future__ import annotations

import hashlib
import pathlib

import pytest

from durable_saga.declared.compiled import function_of
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.recorded import read_history
from durable_saga.replay import Core
from durable_saga.replay.history import INTENTS
from tests.laws.programs import run_program
from tests.unit.kinds_sagas import SAGAS
from tests.unit.settled_sagas import caught, forgets, typed, wallet

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "histories"
FILES = sorted(FOLDER.glob("program-*.history"))


def comparable(event: h.Event) -> h.Event:
    """Files and lines are those of the machine and the day; what a later version says more is not in an old file."""
    if event.HasField("unwind_started"):
        event.unwind_started.ClearField("pending")
    failure = getattr(getattr(event, str(event.WhichOneof("kind"))), "failure", None)
    if failure is not None and failure.ByteSize():
        failure.CopyFrom(p.Failure(type=failure.type, message=failure.message))
    return event


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recorded_history_replays_alike_cut_anywhere(file: pathlib.Path) -> None:
    events = [comparable(event) for event in read_history(file)]
    for cut in range(1, len(events) + 1):
        key = h.RunKey(namespace="n", saga="s", run=1)
        core = Core(run_program.definition, key, has_step_timeout=True)  # older than StepScheduled.no_timeout
        core.replay(events[:cut])
        added = [comparable(event) for event in core.take().events]
        assert added == events[cut : cut + len(added)]
        core.discard()


def test_there_is_a_recorded_history() -> None:
    assert FILES


BEFORE = {
    "caught": caught, "handler-fails": wallet, "handler-cut-off": wallet, "handler-misfit": wallet, "forgets": forgets,
    "typed": typed,
}  # fmt: skip


@pytest.mark.parametrize("name", BEFORE)
def test_a_history_of_before_settling_replays_to_the_end_that_it_had(name: str) -> None:
    file = FOLDER / f"before-{name}.history"
    events = [comparable(event) for event in read_history(file)]
    whole = [place for place, event in enumerate(events) if place and event.WhichOneof("kind") not in INTENTS]
    for cut in [*whole, len(events)]:  # a commit holds all that its facts led to
        core = Core(BEFORE[name].definition, h.RunKey(namespace="n", saga="s", run=1))
        core.replay(events[:cut])
        assert core.history.next_seq == cut + len(core.take().events)
        core.discard()
    assert core.ended


KINDS = FOLDER.glob("kinds-*.history")


def test_every_kind_of_event_has_a_recorded_history() -> None:
    found = {event.WhichOneof("kind") for file in FOLDER.glob("*.history") for event in read_history(file)}
    missing = {one.name for one in h.Event.DESCRIPTOR.oneofs_by_name["kind"].fields} - found
    assert not missing, (
        f"no recorded history holds {', '.join(sorted(missing))}: add a saga to tests/unit/kinds_sagas.py that comes to it,"
        " then `python -m tests.unit.kinds_sagas`, and commit the new file and SHA256SUMS"
    )


def test_what_is_recorded_stays_as_it_is_byte_for_byte() -> None:
    lines = (FOLDER / "SHA256SUMS").read_text().splitlines()
    sums = {name: found for found, _, name in (line.partition("  ") for line in lines)}
    assert sums == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in FOLDER.glob("*.history")}


@pytest.mark.parametrize("file", sorted(KINDS), ids=lambda file: file.stem)
def test_a_history_of_every_kind_replays_to_the_end_that_it_had(file: pathlib.Path) -> None:
    events = read_history(file)
    definitions = {one.name: one for one in (function_of(saga).definition for saga in SAGAS)}
    whole = [place for place, event in enumerate(events) if place and event.WhichOneof("kind") not in INTENTS]
    if events[-1].HasField("stopped_before_start"):
        whole = []  # no worker had it before
    for cut in [*whole, len(events)]:  # a commit holds all that its facts led to
        core = Core(definitions[events[0].saga_started.saga_type], h.RunKey(namespace="n", saga="s", run=1))
        core.replay(events[:cut])
        added = [comparable(event) for event in core.take().events]
        assert added == [comparable(event) for event in read_history(file)[cut : cut + len(added)]]
        core.discard()
    assert core.ended


def test_a_run_that_was_terminated_while_a_commit_was_on_its_way_replays() -> None:
    events = read_history(FOLDER / "kinds-terminated.history")
    definitions = {one.name: one for one in (function_of(saga).definition for saga in SAGAS)}
    for cut_off in range(1, len(events)):
        core = Core(definitions[events[0].saga_started.saga_type], h.RunKey(namespace="n", saga="s", run=1))
        core.replay([*events[:cut_off], _at(events[-1], cut_off)])
        assert core.status == h.TERMINATED
        assert not core.take().events
        core.discard()


def _at(event: h.Event, seq: int) -> h.Event:
    moved = h.Event.FromString(event.SerializeToString())
    moved.seq = seq
    return moved
