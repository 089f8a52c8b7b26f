"""Who reads rows that others wrote: a taker, a forced terminate, and a client that looks at a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.model.explore import Step
from tests.model.log_changes import NAMES, ask
from tests.model.log_state import (
    NOBODY,
    Change,
    Held,
    Server,
    Setting,
    State,
    Task,
    claim,
    spend,
    with_run,
    with_server,
    words,
)
from tests.model.replicas import ONE, QUORUM, Replicas, acknowledged, read_first, read_second, without

TAKER_READS_AT_ONE = "an adoption read at ONE"
ACQUIRE_FIRST = "acquire first, write what is adopted by a later plain write"
PLAIN_END = "a plain end, and a terminate that does not read"
READS_FIRST = "the taker reads before it revokes"


@dataclass(frozen=True)
class Takers:
    setting: Setting

    def steps(self, state: State, by: int) -> Iterator[Step]:
        server = state.servers[by]
        task = server.task
        if task is None:
            for run, head in enumerate(state.heads):
                if head.status == "open" and server.runs[run] is None:
                    yield from self._begin(state, by, server, run)
        elif task.at == "revoke":
            yield from self._revoke(state, by, task)
        elif task.at == "acquire":
            yield from self._acquire(state, by, task)
        else:
            yield from self._read(state, by, task)

    def _begin(self, state: State, by: int, server: Server, run: int) -> Iterator[Step]:
        head = state.heads[run]
        claimed = any(
            one.is_up and (held := one.runs[run]) is not None and held.key == (head.inc, head.epoch) for one in state.servers
        )
        claimed |= any(one.task is not None and one.task.run == run for one in state.servers)
        if state.left.terminates:
            task = Task("terminate", run, head, self._first(state, run))
            yield Step(f"{NAMES[by]} is to terminate run {run}", self._at(spend(state, "terminates"), by, task))
        if not claimed:
            task = Task("take", run, head, self._first(state, run))
            yield Step(
                f"{NAMES[by]} reads the head of run {run}: epoch {head.epoch}, nobody is at it", self._at(state, by, task)
            )
        elif state.left.takes:
            task = Task("take", run, head, self._first(state, run))
            said = f"{NAMES[by]} reads the head of run {run}: epoch {head.epoch}; it takes the owner, which is alive, for dead"
            yield Step(said, self._at(spend(state, "takes"), by, task), fault=True)

    def _first(self, state: State, run: int) -> str:
        if state.heads[run].owner == NOBODY:
            return "read"
        starts = {"no revocation": "read", READS_FIRST: "read", ACQUIRE_FIRST: "acquire"}
        return starts.get(self.setting.variant, "revoke")

    def _at(self, state: State, by: int, task: Task | None) -> State:
        """It begins what comes next; a revocation is sent at once."""
        if task is not None and task.at == "revoke":
            state = state._replace(sent=state.sent | {self._fence(task)})
        return with_server(state, by, state.servers[by]._replace(task=task))

    def _fence(self, task: Task) -> int:
        if self.setting.bulk:
            return self.setting.closure(task.head.owner)
        return self.setting.revocation(task.run, task.head)

    def _revoke(self, state: State, by: int, task: Task) -> Iterator[Step]:
        following = "acquire" if self.setting.variant == READS_FIRST else "read"
        if task.kind == "terminate" and self.setting.variant == PLAIN_END:
            following = "acquire"
        after = task._replace(at=following)
        if self.setting.variant == "the taker does not wait for its revocation":
            yield Step(f"{NAMES[by]} does not wait for its revocation of run {task.run}", self._at(state, by, after))
            return
        need = ONE if self.setting.variant == "a revocation at ONE" else QUORUM
        what = (
            f"closing of fence {task.head.owner}"
            if self.setting.bulk
            else f"revocation of run {task.run}, epoch {task.head.epoch}"
        )
        for replicas in acknowledged(state.replicas, self._fence(task), need):
            yield Step(f"{NAMES[by]}'s {what} is acknowledged", self._at(state._replace(replicas=replicas), by, after))

    def _read(self, state: State, by: int, task: Task) -> Iterator[Step]:
        mark, rows = self.setting.mark(f"taker {by}"), self.setting.facts.of(self.setting.rows_of(task.run, task.head.inc))
        if task.at == "read":
            for replicas, seen in read_first(state.replicas, state.sent, rows, mark):
                after = self._at(state._replace(replicas=replicas), by, task._replace(at="read on", seen=seen))
                yield Step(f"{NAMES[by]} begins to read run {task.run}", after)
            return
        ends = read_second(state.replicas, state.sent, rows, mark, task.seen, repairs=self.setting.repairs)
        if self.setting.variant == TAKER_READS_AT_ONE:
            ends = iter([(without(state.replicas, mark), task.seen)])
        for replicas, seen in ends:
            yield self._has_read(state._replace(replicas=replicas), by, task, seen)

    def _has_read(self, state: State, by: int, task: Task, seen: int) -> Step:
        history, wrong = self.setting.history(task.run, task.head, seen)
        if wrong:
            return _unreadable(f"{NAMES[by]}", state, self._at(state, by, None), task, wrong)
        read = task._replace(at="acquire", seen=0, history=history)
        said = f"{NAMES[by]} has read {words(history)} of run {task.run}"
        if self.setting.variant == ACQUIRE_FIRST:
            after = claim(self._at(state, by, None), "acted", task.run, task.head.inc, history)
            held = Held(task.head, history)
            return Step(f"{said}, and goes on", with_server(after, by, with_run(after.servers[by], task.run, held)))
        if self.setting.variant == READS_FIRST:
            read = read._replace(at="revoke")
        return Step(said, self._at(state, by, read))

    def _acquire(self, state: State, by: int, task: Task) -> Iterator[Step]:
        kind = "acquire" if task.kind == "take" else "terminate"
        change = Change(kind, by, task.run, task.head, task.history)

        def applied(after: State) -> State:
            head = after.heads[task.run]
            if kind == "terminate":
                return claim(self._at(after, by, None), "acted", task.run, task.head.inc, head.kept)
            if self.setting.variant == ACQUIRE_FIRST:
                return self._at(after, by, task._replace(head=head, at="read"))
            after = claim(self._at(after, by, None), "acted", task.run, task.head.inc, task.history)  # open intents: once more
            return with_server(after, by, with_run(after.servers[by], task.run, Held(head, task.history)))

        def gives_up(after: State) -> State:
            return self._at(after, by, None)

        yield from ask(self.setting, state, change, applied=applied, fenced=gives_up, unknown=gives_up)


@dataclass(frozen=True)
class Client:
    """Head, rows, then the fence of the owner; an ended or released run: the head alone."""

    setting: Setting

    def steps(self, state: State) -> Iterator[Step]:
        task = state.client
        if task is not None:
            yield from self._rows(state, task) if task.at in ("read", "read on") else self._fence(state, task)
        elif state.left.looks:
            for run, head in enumerate(state.heads):
                if head.status != "purged":
                    looking = spend(state, "looks")._replace(client=Task("look", run, head, "read"))
                    yield Step(f"a client reads the head of run {run}: epoch {head.epoch}, {head.status}", looking)

    def _rows(self, state: State, task: Task) -> Iterator[Step]:
        rows = self.setting.facts.of(self.setting.rows_of(task.run, task.head.inc))
        yield from self._reading(state, task, rows, "rows", self.setting.variant == "a client reads at ONE")

    def _fence(self, state: State, task: Task) -> Iterator[Step]:
        yield from self._reading(state, task, self.setting.facts.of(("fence", task.head.owner)), "fence", False)

    def _reading(self, state: State, task: Task, part: int, what: str, at_one: bool) -> Iterator[Step]:
        mark = self.setting.mark("client")
        if not task.at.endswith(" on"):
            for replicas, seen in read_first(state.replicas, state.sent, part, mark):
                reading = state._replace(replicas=replicas, client=task._replace(at=f"{task.at} on", seen=seen))
                yield Step(f"the client begins to read the {what}", reading)
            return
        ends: Iterator[tuple[Replicas, int]]
        ends = read_second(state.replicas, state.sent, part, mark, task.seen, repairs=self.setting.repairs)
        if at_one:
            ends = iter([(without(state.replicas, mark), task.seen)])
        for replicas, seen in ends:
            after = state._replace(replicas=replicas)
            yield self._has_rows(after, task, seen) if what == "rows" else self._has_fence(after, task, seen)

    def _has_rows(self, state: State, task: Task, seen: int) -> Step:
        history, wrong = self.setting.history(task.run, task.head, seen)
        done = state._replace(client=None)
        if wrong:
            return _unreadable("the client", state, done, task, wrong)
        is_fixed = task.head.status == "ended" or task.head.owner == NOBODY
        if is_fixed or self.setting.variant == "a client is shown rows without validation":
            return Step(f"the client is shown {words(history)}", claim(done, "shown", task.run, task.head.inc, history))
        reading = state._replace(client=task._replace(at="fence", seen=0, history=history))
        return Step(f"the client has read {words(history)}", reading)

    def _has_fence(self, state: State, task: Task, seen: int) -> Step:
        done = state._replace(client=None)
        if self.setting.is_fenced(seen, task.run, task.head):
            return Step("the client finds it revoked: it has to look again", done)
        return Step(f"the client is shown {words(task.history)}", claim(done, "shown", task.run, task.head.inc, task.history))


def _unreadable(who: str, state: State, done: State, task: Task, wrong: str) -> Step:
    """A run that was purged meanwhile can't be read, and who reads it looks at the head again; otherwise rows are lost."""
    now = state.heads[task.run]
    if now.inc == task.head.inc and now.status != "purged":
        return Step(f"{who} reads run {task.run}", state._replace(wrong=wrong))
    return Step(f"{who} can't read run {task.run}, looks at the head and finds it purged", done)
