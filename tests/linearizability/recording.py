"""Records what is asked of a journal's heads and what it answers, for the linearizability checker.

One `Recorder` is shared by all clients of one event loop: its clock is the order in which calls begin and end there, so
that no two clocks have to agree. Create, acquire, commit and head are recorded; the rest goes straight through. A call that
is cancelled or raises has no known outcome.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Commit, Committed, Created, Exists, Fenced, Head, Hint, Outcome, Run, Runs, Unknown

from durable_saga.pb import history_pb2 as h
from tests.linearizability.checker import ABSENT, COMMITTED, CREATED, EXISTS, FENCED, FOUND, UNKNOWN, Call, Register

_WORDS = {Created: CREATED, Exists: EXISTS, Committed: COMMITTED, Fenced: FENCED, Unknown: UNKNOWN}


class Recorder:
    """Owns the calls of all clients, by run."""

    def __init__(self) -> None:
        self._runs: dict[Run, list[Call]] = defaultdict(list)
        self._clock = itertools.count()

    def began(self, run: Run, kind: str, by: str, **asked: Any) -> int:
        """Its place, to be given to `ended`."""
        self._runs[run].append(Call(kind, next(self._clock), None, by=by, **asked))
        return len(self._runs[run]) - 1

    def ended(self, run: Run, place: int, outcome: str, seen: Register | None = None) -> None:
        calls = self._runs[run]
        calls[place] = replace(calls[place], responded=next(self._clock), outcome=outcome, seen=seen)

    def saw(self, run: Run, place: int, seen: Register) -> None:
        """An answer told the head beside its outcome. It may have been read after the outcome was decided, so it counts as
        a read of its own within the time of the call."""
        call = self._runs[run][place]
        assert call.responded is not None, "an answer ends its call"
        read = Call("head", call.invoked, call.responded, FOUND, seen=seen, by=f"{call.by} ({call.kind})")
        self._runs[run].append(read)

    def calls(self) -> dict[Run, list[Call]]:
        return dict(self._runs)


class RecordingRuns:
    """The runs of a journal; `by` names the client."""

    def __init__(self, runs: Runs, recorder: Recorder, by: str) -> None:
        self._runs = runs
        self._recorder = recorder
        self._by = by

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runs, name)

    def _ended(self, run: Run, place: int, answer: Created | Exists | Outcome) -> None:
        head = None if isinstance(answer, Unknown) else answer.head
        seen = register_of(head) if head is not None else None
        self._recorder.ended(run, place, _WORDS[type(answer)], seen)
        if seen is not None:
            self._recorder.saw(run, place, seen)

    async def create(self, head: Head, event: h.Event, hint: Hint | None = None) -> Created | Exists | Unknown:
        asked = register_of(head)._asdict()
        asked["commit"] = asked.pop("last_commit")
        place = self._recorder.began(head.run, "create", self._by, **asked)
        answer = await self._runs.create(head, event, hint)
        self._ended(head.run, place, answer)
        return answer

    async def head(self, run: Run) -> Head | None:
        place = self._recorder.began(run, "head", self._by)
        head = await self._runs.head(run)
        self._recorder.ended(run, place, FOUND if head else ABSENT, register_of(head) if head else None)
        return head

    async def acquire(self, run: Run, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Outcome:
        place = self._recorder.began(run, "acquire", self._by, incarnation=incarnation.hex(), epoch=epoch, owner=owner)
        answer = await self._runs.acquire(run, incarnation, epoch, owner, now_ms)
        self._ended(run, place, answer)
        return answer

    async def commit_many(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        places = [
            self._recorder.began(
                one.run, "commit", self._by, incarnation=one.incarnation.hex(), epoch=one.epoch, next_seq=one.next_seq,
                count=len(one.events), commit=one.commit_id.hex(), status=one.status, is_open=one.status in OPEN,
                releases=one.release,
            )
            for one in commits
        ]  # fmt: skip
        answers = await self._runs.commit_many(commits)
        for one, place, answer in zip(commits, places, answers, strict=True):
            self._ended(one.run, place, answer)
        return answers


def register_of(head: Head) -> Register:
    last, is_open = head.last_commit.hex(), head.status in OPEN
    return Register(head.incarnation.hex(), head.epoch, head.owner, head.next_seq, head.status, last, is_open)
