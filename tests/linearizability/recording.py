"""Records what is asked of a journal's heads and what it answers, as JSON lines, for the linearizability checker.

Each process writes a file of its own; `time.monotonic_ns()` is one clock for a whole Linux machine, so that the files of
several processes merge. A call is written down twice, when it begins and when it ends, and flushed each time: a killed
process leaves calls without an end, which is what they are. Only create, acquire, commit and head are recorded; the rest of
the interface goes straight through.
"""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import (
    Commit,
    Committed,
    Created,
    Exists,
    Fenced,
    Head,
    Hint,
    Journal,
    JournalError,
    Outcome,
    Run,
    Unknown,
)

from durable_saga.pb import history_pb2 as h
from tests.linearizability.checker import ABSENT, COMMITTED, CREATED, EXISTS, FENCED, UNKNOWN, Call, Register

VARIABLE = "DURABLE_SAGA_RECORD"
_WORDS = {Created: CREATED, Exists: EXISTS, Committed: COMMITTED, Fenced: FENCED, Unknown: UNKNOWN}


class RecordingJournal:
    """A Journal around another one. `file` is appended to."""

    def __init__(self, journal: Journal, file: pathlib.Path) -> None:
        self._journal = journal
        self._file = file.open("a", buffering=1)
        self._by = f"{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._numbers = itertools.count()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def close(self) -> None:
        await self._journal.close()
        self._file.close()

    def _began(self, kind: str, run: Run, **asked: Any) -> str:
        call = f"{self._by}-{next(self._numbers)}"
        key = [run.namespace, run.saga, run.run]
        self._write({"call": call, "kind": kind, "run": key, "invoked": time.monotonic_ns(), **asked})
        return call

    def _ended(self, call: str, answer: Any) -> None:
        row: dict[str, Any] = {"call": call, "responded": time.monotonic_ns()}
        head = answer if isinstance(answer, Head) else getattr(answer, "head", None)
        if answer is None:
            row["outcome"] = ABSENT
        else:
            row["outcome"] = "found" if isinstance(answer, Head) else _WORDS[type(answer)]
        if head is not None:
            row["seen"] = _register(head)
        self._write(row)

    def _refused(self, call: str) -> None:
        """An error: nothing was acknowledged. Whether it had an effect is not taken for granted."""
        self._write({"call": call, "responded": time.monotonic_ns(), "outcome": UNKNOWN})

    def _write(self, row: dict[str, Any]) -> None:
        self._file.write(json.dumps(row) + "\n")

    async def create(self, head: Head, event: h.Event, hint: Hint | None = None) -> Created | Exists | Unknown:
        asked = dict(zip(("incarnation", "epoch", "next_seq", "status", "commit", "is_open"), _register(head), strict=True))
        call = self._began("create", head.run, **asked)
        try:
            answer = await self._journal.create(head, event, hint)
        except JournalError:
            self._refused(call)
            raise
        self._ended(call, answer)
        return answer

    async def head(self, run: Run) -> Head | None:
        call = self._began("head", run)
        try:
            answer = await self._journal.head(run)
        except JournalError:
            self._refused(call)
            raise
        self._ended(call, answer)
        return answer

    async def acquire(self, run: Run, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Outcome:
        call = self._began("acquire", run, incarnation=incarnation.hex(), epoch=epoch)
        try:
            answer = await self._journal.acquire(run, incarnation, epoch, owner, now_ms)
        except JournalError:
            self._refused(call)
            raise
        # The head beside a refusal is read after it on Cassandra: it tells nothing of the instant of the refusal. The head
        # beside a success may hold what was committed since; the outcome alone is what the acquire promises.
        self._ended(call, type(answer)(head=None) if isinstance(answer, Committed | Fenced) else answer)
        return answer

    async def commit_many(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        calls = [
            self._began(
                "commit", one.run, incarnation=one.incarnation.hex(), epoch=one.epoch, next_seq=one.next_seq,
                count=len(one.events), commit=one.commit_id.hex(), status=one.status, is_open=one.status in OPEN,
            )
            for one in commits
        ]  # fmt: skip
        try:
            answers = await self._journal.commit_many(commits)
        except JournalError:
            for call in calls:
                self._refused(call)
            raise
        for call, answer in zip(calls, answers, strict=True):
            self._ended(call, type(answer)(head=None) if isinstance(answer, Committed | Fenced) else answer)
        return answers


def recording(journal: Journal) -> Journal:
    """`journal`, recorded into a new file of the folder that DURABLE_SAGA_RECORD names; itself when that is not set."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return journal
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    file = pathlib.Path(folder) / f"{os.getpid()}-{time.monotonic_ns()}.jsonl"
    return RecordingJournal(journal, file)  # the rest of the interface goes through __getattr__


def read_records(files: Iterable[pathlib.Path]) -> dict[Run, list[Call]]:
    """The calls of all files, by run. A last line that a killed process wrote in half is left out."""
    asked: dict[str, dict[str, Any]] = {}
    answered: dict[str, dict[str, Any]] = {}
    for file in files:
        for line in file.read_text().split("\n")[:-1]:
            row = json.loads(line)
            (asked if "invoked" in row else answered)[row["call"]] = row
    found: dict[Run, list[Call]] = defaultdict(list)
    for name, row in asked.items():
        answer = answered.get(name, {})
        seen = answer.get("seen")
        run = Run(*row.pop("run"))
        by, call = row.pop("call"), row
        found[run].append(
            Call(
                **call, by=by, responded=answer.get("responded"), outcome=answer.get("outcome", UNKNOWN),
                seen=Register(*seen) if seen else None,
            )
        )  # fmt: skip
    return dict(found)


def _register(head: Head) -> Register:
    is_open = head.status in OPEN
    return Register(head.incarnation.hex(), head.epoch, head.next_seq, head.status, head.last_commit.hex(), is_open)
