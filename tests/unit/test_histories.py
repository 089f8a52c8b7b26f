"""Recorded histories replay for ever: a file that stops doing so is a broken promise to sagas that are under way."""

from __future__ import annotations

import pathlib

import pytest

from durable_saga.cli.checking import read_history
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay import Core
from tests.laws.programs import run_program

FILES = sorted((pathlib.Path(__file__).resolve().parent.parent / "histories").glob("program-*.history"))


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
        core = Core(run_program.definition, h.RunKey(namespace="n", saga="s", run=1))
        core.replay(events[:cut])
        added = [comparable(event) for event in core.take().events]
        assert added == events[cut : cut + len(added)]
        core.discard()


def test_there_is_a_recorded_history() -> None:
    assert FILES
