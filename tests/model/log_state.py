"""The state of the log protocol as a machine: heads, rows on replicas, servers at work, what was acted on and what may happen.

A head is a register that conditional writes change one after the other; such a write whose sender got no answer is late.
Everything else is a plain write (replicas.py). An event's content is told by its epoch, which has one writer, and by whether
the message is in it. `kept` is the history that stands with the head: each conditional write carries the events that were
only in a log until then, so a log holds no more than the tail of a run that is owned.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.model.replicas import Fact, Facts, Replicas

NOBODY = -1
PLAIN, MESSAGE, END, CHANGED = 0, 1, 2, 3
VARIANTS: dict[str, tuple[str, int]] = {
    "": ("", 0),
    "act on the acknowledgement": ("G3", 7),
    "no revocation": ("G3", 8),
    "a validation that began before the acknowledgement": ("G3", 9),
    "a validation at ONE": ("G3", 9),
    "an append at ONE": ("G3", 9),
    "a revocation at ONE": ("G3", 9),
    "an adoption read at ONE": ("G3", 9),
    "the taker does not wait for its revocation": ("G3", 9),
    "the taker reads before it revokes": ("G3", 9),
    "no read repair": ("G2", 11),
    "what is adopted is not written": ("G2", 17),
    "acquire first, write what is adopted by a later plain write": ("G2", 12),
    "a client is shown rows without validation": ("G2", 9),
    "a client reads at ONE": ("G2", 11),
    "a plain end, and a terminate that does not read": ("G2", 7),
    "new content after an unknown outcome": ("G2", 12),
    "go on after an unknown turn": ("G3", 6),
    "go on after an unknown release": ("G3", 6),
    "a turn leaves out a row that is under way": ("G2", 7),
    "a release leaves out a row that is under way": ("G2", 7),
    "revocations expire": ("G3", 10),
    "revocations expire, and what was read before is void": ("G2", 13),
    "a fence that is gone counts as open": ("G3", 10),
    "a fence is dropped at QUORUM": ("G3", 10),
    "no incarnation in the key of a row": ("G2", 14),
    "no incarnation in the condition": ("G2", 10),
    "go on after an unknown change": ("G3", 6),
    "a condition does not name the place": ("G3", 6),
    "a change leaves out a row that is under way": ("G3", 11),
    "a log is dropped while its fence is open": ("G3", 21),
    "a log is dropped without a look at the heads": ("G3", 13),
    "consumed at the acknowledgement": ("G6", 13),
    "the taker does not look for message ids": ("G6", 12),
}
"""Each with the promise that it must be found to break, and the steps of a shortest trace."""


class Event(NamedTuple):
    epoch: int
    content: int = PLAIN


History = tuple[Event, ...]


class Row(NamedTuple):
    """The key of a row in a log (the log follows from run and epoch), and its content."""

    run: int
    inc: int
    epoch: int
    seq: int
    content: int


class Head(NamedTuple):
    """`status`: open, ended, purged. `past`: what the run before it, of the same id, ended with."""

    inc: int = 1
    epoch: int = 1
    owner: int = 0
    status: str = "open"
    kept: History = ()
    past: History = ()


class Change(NamedTuple):
    """A conditional write: acquire, release, change (of the status) or end. `head` is what its sender knew, `kept` the history
    that stands with the head from then on."""

    kind: str
    by: int
    run: int
    head: Head
    kept: History


class Held(NamedTuple):
    """A run at its owner: `history` is committed; `sent` (contents) is beyond it, `acked` of it are acknowledged.

    `asking`: a change whose outcome is unknown, which is asked for again, and nothing else is done. `void`: it validates no
    more under this epoch (only where revocations expire)."""

    head: Head
    history: History
    sent: tuple[int, ...] = ()
    acked: int = 0
    heard: bool = False
    asking: Change | None = None
    void: bool = False

    @property
    def key(self) -> tuple[int, int]:
        return self.head.inc, self.head.epoch

    @property
    def everything(self) -> History:
        return self.history + tuple(Event(self.head.epoch, content) for content in self.sent)


class Validation(NamedTuple):
    """Under way, its first replica has shown `seen`; for each run, the key and how many acknowledged events it covers."""

    cover: tuple[tuple[tuple[int, int], int], ...]
    seen: int


class Task(NamedTuple):
    """A take-over, a terminate or a client's look: what it has seen so far."""

    kind: str
    run: int
    head: Head
    at: str
    seen: int = 0
    history: History = ()


class Server(NamedTuple):
    """`fence` is the number of its partition V; `groups` are sent and not yet acknowledged."""

    fence: int
    runs: tuple[Held | None, ...]
    is_up: bool = True
    groups: tuple[tuple[Row, ...], ...] = ()
    validation: Validation | None = None
    task: Task | None = None


class Budget(NamedTuple):
    """What may still happen."""

    takes: int = 0
    changes: int = 0
    log_drops: int = 0
    crashes: int = 0
    timeouts: int = 0
    drops: int = 0
    turns: int = 0
    releases: int = 0
    terminates: int = 0
    purges: int = 0
    looks: int = 0


class State(NamedTuple):
    replicas: Replicas
    sent: frozenset[int]
    heads: tuple[Head, ...]
    late: frozenset[Change]
    servers: tuple[Server, ...]
    acted: tuple[History, ...]
    shown: tuple[History, ...]
    left: Budget
    client: Task | None = None
    collector: Task | None = None
    inbox: str = ""
    wrong: str = ""


class Setting:
    """One case: the sizes, the variant, and the bits of the facts."""

    def __init__(
        self, variant: str, *, runs: int, servers: int, length: int, pipe: int, bulk: bool, message: bool, drops: bool
    ) -> None:
        assert variant in VARIANTS, variant
        self.variant, self.runs, self.servers, self.length = variant, runs, servers, length
        self.pipe, self.bulk, self.message, self.drops = pipe, bulk, message, drops
        self.repairs = variant != "no read repair"
        self.facts = Facts()
        self._unasked: dict[tuple[frozenset[tuple[int, Head]], int], int] = {}

    def row(self, row: Row) -> int:
        return self.facts.bit(self.rows_of(row.run, row.inc), row.epoch, row.seq, row.content)

    def dropped(self, run: int, inc: int, fence: int) -> int:
        """The log that goes with this fence is gone, and what comes late to it."""
        return self.facts.bit(self.rows_of(run, inc), "dropped", fence)

    def rows_of(self, run: int, inc: int) -> tuple[str | int, ...]:
        return ("rows", run, 0 if self.variant == "no incarnation in the key of a row" else inc)

    def revocation(self, run: int, head: Head) -> int:
        return self.facts.bit(("fence", head.owner), run, head.inc, head.epoch)

    def closure(self, fence: int) -> int:
        return self.facts.bit(("fence", fence), "closed")

    def opening(self, fence: int) -> int:
        """Asked for where fences are dropped; elsewhere it is always there."""
        return self.facts.bit(("fence", fence), "open")

    def opened(self, state: State, fence: int) -> State:
        opening = self.opening(fence) if self.drops else 0
        return state._replace(replicas=tuple(one | opening for one in state.replicas))

    def mark(self, who: str | int) -> int:
        return self.facts.bit(("reading",), who)

    def is_closed(self, seen: int, fence: int) -> bool:
        if self.variant == "a fence that is gone counts as open":
            return False
        return bool(seen & self.closure(fence)) or (self.drops and not seen & self.opening(fence))

    def is_fenced(self, seen: int, run: int, head: Head) -> bool:
        return self.is_closed(seen, head.owner) or bool(seen & self.revocation(run, head))

    def unasked(self, asked: set[tuple[int, Head]], *, keeps_rows: bool) -> int:
        """The facts that nobody looks for who knows one of these heads. A closed fence stays."""
        known = (frozenset(asked), len(self.facts.all()))
        if known not in self._unasked:
            self._unasked[known] = self._find_unasked(asked, keeps_rows=keeps_rows)
        return self._unasked[known]

    def _find_unasked(self, asked: set[tuple[int, Head]], *, keeps_rows: bool) -> int:
        gone = 0
        by_life: dict[tuple[int, int], list[Head]] = {}
        for run, head in asked:
            by_life.setdefault((run, head.inc), []).append(head)
        for part, rest, bit in self.facts.all():
            if part[0] == "fence" and len(rest) == 3:
                heads = by_life.get((int(rest[0]), int(rest[1])), ())
                gone |= 0 if any(head.epoch == rest[2] and head.owner == part[1] for head in heads) else bit
            elif part[0] == "rows" and not keeps_rows and rest[0] != "dropped":
                heads = by_life.get((int(part[1]), int(part[2])), ())
                gone |= 0 if any(_asks(head, rest) for head in heads) else bit
        return gone

    # --- what rows mean ----------------------------------------------------------------------------------------------------

    def history(self, run: int, head: Head, seen: int) -> tuple[History, str]:
        """The history that `seen` shows under `head`, and what is wrong with it."""
        found: list[Event] = []
        if self.variant in ("what is adopted is not written", "acquire first, write what is adopted by a later plain write"):
            for epoch in range(1, head.epoch + 1):
                self._follow(run, head, epoch, seen, found)
            return tuple(found), ""
        found += head.kept
        if head.status == "open" and head.owner != NOBODY:
            self._follow(run, head, head.epoch, seen, found)
        return tuple(found), ""

    def _follow(self, run: int, head: Head, epoch: int, seen: int, found: list[Event]) -> None:
        while (content := self._content(run, head, epoch, len(found), seen)) is not None:
            found.append(Event(epoch, content))

    def _content(self, run: int, head: Head, epoch: int, seq: int, seen: int) -> int | None:
        """Of two contents under one key with one timestamp, their bytes decide: here the older one wins."""
        if seen & self.dropped(run, head.inc, head.owner):
            return None
        for content in (PLAIN, MESSAGE, CHANGED):
            if seen & self.row(Row(run, head.inc, epoch, seq, content)):
                return content
        return None


def _asks(head: Head, rest: Fact) -> bool:
    epoch, seq = int(rest[0]), int(rest[1])
    return head.status == "open" and epoch == head.epoch and seq >= len(head.kept)


# --- changes of a state -----------------------------------------------------------------------------------------------------


def with_server(state: State, by: int, server: Server) -> State:
    return state._replace(servers=(*state.servers[:by], server, *state.servers[by + 1 :]))


def with_run(server: Server, run: int, held: Held | None) -> Server:
    return server._replace(runs=(*server.runs[:run], held, *server.runs[run + 1 :]))


def with_head(state: State, run: int, head: Head) -> State:
    return state._replace(heads=(*state.heads[:run], head, *state.heads[run + 1 :]))


def spend(state: State, what: str) -> State:
    return state._replace(left=state.left._replace(**{what: getattr(state.left, what) - 1}))


def claim(state: State, kind: str, run: int, inc: int, history: History) -> State:
    """`kind`: acted (effects started, a worker was told) or shown (to a client)."""
    now, promise = state.heads[run], {"acted": "G3", "shown": "G2"}[kind]
    if inc != now.inc:
        if now.past[: len(history)] == history:
            return state
        return state._replace(wrong=f"{promise}: {history} of run {run} is {kind} and was not in it when it was purged")
    before = (state.acted if kind == "acted" else state.shown)[run]
    short, long = (before, history) if len(before) <= len(history) else (history, before)
    if long[: len(short)] != short:
        return state._replace(wrong=f"G2: run {run} has two histories: {words(before)} was {kind}, now it is {words(history)}")
    if kind == "acted":
        return state._replace(acted=(*state.acted[:run], long, *state.acted[run + 1 :]))
    return state._replace(shown=(*state.shown[:run], long, *state.shown[run + 1 :]))


def words(history: History) -> str:
    return "[" + " ".join(f"{event.epoch}{('', 'm', 'end', 'c')[event.content]}" for event in history) + "]"
