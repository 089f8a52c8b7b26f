"""The commit protocol as a machine: one saga id, two owners, a store whose answers get lost and whose requests run late.

A request under way is either awaited (it stands with its sender) or late (nobody waits; it runs at any time, or never). A
time-out makes an awaited request late, so that a lost answer, a lost request and a late one are all in here. The saga is
event 0 (started), one event whose effect starts when it is known to be committed, and the end, which is shown to a client.
An owner is a worker together with the server that it commits through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.model.explore import Step

NAMES = ("A", "B")
END = 2
VARIANTS = {
    "": "",
    "go on at unknown": "G3",
    "a serial read settles an unknown outcome": "G3",
    "a serial read that finds nothing settles a start": "G6",
    "new content under the same number and id": "G3",
    "a lease instead of the fence": "G2",
    "acquire keeps the epoch": "G4",
    "no incarnation in the condition": "G2",
    "plain write under a clustering epoch, go on at the acknowledgement": "G3",
}
"""Each with the promise that it must be found to break."""


class Event(NamedTuple):
    """What makes contents differ: who wrote it, under which epoch, and whether a signal is in it."""

    inc: int
    seq: int
    by: int
    epoch: int
    signal: bool = False


class Request(NamedTuple):
    """`kind` is create, acquire or commit; `epoch` and `event.seq` are its condition, `commit` its id."""

    kind: str
    by: int
    inc: int
    epoch: int
    event: Event | None = None
    commit: tuple[int, ...] = ()


class Owner(NamedTuple):
    """`phase`: down, idle, looked (it has read the head), owns, waits (for an answer), unsure (a time-out)."""

    phase: str = "idle"
    inc: int = 0
    epoch: int = 0
    seq: int = 0
    call: Request | None = None
    signal: bool = False


class Head(NamedTuple):
    inc: int
    owner: int
    epoch: int
    seq: int
    last: tuple[int, ...]


class State(NamedTuple):
    """The store (head, rows), the requests that are late, the owners, what was done and told, and what may still happen."""

    head: Head | None = None
    rows: tuple[Event, ...] = ()
    late: frozenset[Request] = frozenset()
    owners: tuple[Owner, ...] = (Owner(), Owner())
    effects: frozenset[Event] = frozenset()
    told_started: bool = False
    told_not_started: frozenset[int] = frozenset()
    starts: int = 0
    purged: int = 0
    wrong: str = ""
    signals: int = 1
    timeouts: int = 2
    crashes: int = 1
    takeovers: int = 1


class Commits:
    """`variant` is one of VARIANTS; `purges`: how often an ended run may be purged and its id used again."""

    def __init__(
        self, variant: str = "", *, timeouts: int = 2, crashes: int = 1, takeovers: int = 1, signals: int = 1, purges: int = 0
    ) -> None:
        assert variant in VARIANTS, variant
        self.variant, self._purges = variant, purges
        self._starts_max = crashes + 1  # a client whose server crashes starts once more
        self.initial = State(timeouts=timeouts, crashes=crashes, takeovers=takeovers, signals=signals)

    def broken(self, state: State) -> str:
        if state.wrong:
            return state.wrong
        if orphans := [one for one in state.effects if one not in state.rows]:
            return f"G3: the effect of {_words(orphans[0])} has started, and the history does not hold it"
        if state.head is not None and state.head.inc in state.told_not_started:
            return "G6: a client was told that its saga was not started, and it runs"
        held = [(one.inc, one.epoch) for one in state.owners if _claims(one)]
        if len(held) == 2 and held[0] == held[1]:
            return f"G4: two owners hold one fencing token, epoch {held[0][1]}"
        return ""

    def is_good_end(self, state: State) -> bool:
        return _ended(state) and state.purged == self._purges

    # --- what may happen -----------------------------------------------------------------------------------------------

    def steps(self, state: State) -> Iterator[Step]:
        for by in range(len(NAMES)):
            owner = state.owners[by]
            if owner.phase == "down":
                yield Step(f"{NAMES[by]} starts again", _with(state, by, Owner()))
                continue
            if state.crashes:
                crashed = _with(state, by, Owner("down"))._replace(crashes=state.crashes - 1)
                if owner.phase == "waits" and owner.call is not None:
                    crashed = crashed._replace(late=state.late | {owner.call})
                yield Step(f"{NAMES[by]} crashes", crashed, fault=True)
            yield from getattr(self, f"_{owner.phase}")(state, by, owner)
        for request in state.late:
            gone = state._replace(late=state.late - {request})
            yield Step(f"the late {_words(request)} arrives", self._execute(gone, request)[0])
            yield Step(f"the late {_words(request)} is lost for good", gone)
        if _ended(state) and state.purged < self._purges and not any(one.kind == "create" for one in state.late):
            purged = state._replace(head=None, rows=(), effects=frozenset(), told_started=False, purged=state.purged + 1)
            yield Step("the ended run is purged", purged)

    def _idle(self, state: State, by: int, owner: Owner) -> Iterator[Step]:
        starting = any(one.call is not None and one.call.kind == "create" for one in state.owners)
        first = not state.starts and by  # the owners are alike: the first start goes through A
        if not state.told_started and not starting and not first and state.starts - state.purged < self._starts_max:
            inc = state.starts + 1
            event = Event(inc, 0, by, 1)
            call = Request("create", by, inc, 1, event, (inc,))
            started = _with(state, by, Owner("waits", inc, 1, 1, call))._replace(starts=inc)
            yield Step(f"a client starts the saga through {NAMES[by]}: {_words(call)}", started)
        head = state.head
        if head is not None and not _ended(state) and head.inc not in state.told_not_started:
            looked = _with(state, by, Owner("looked", head.inc, head.epoch))
            if not any(_claims(one) for one in state.owners):
                yield Step(f"{NAMES[by]} reads the head: epoch {head.epoch}, nobody is at it", looked)
            elif state.takeovers:
                taken = looked._replace(takeovers=state.takeovers - 1)
                words = f"{NAMES[by]} reads the head: epoch {head.epoch}; it takes the owner, which is alive, for dead"
                yield Step(words, taken, fault=True)

    def _looked(self, state: State, by: int, owner: Owner) -> Iterator[Step]:
        call = Request("acquire", by, owner.inc, owner.epoch)
        yield Step(f"{NAMES[by]} sends its {_words(call)}", _with(state, by, owner._replace(phase="waits", call=call)))

    def _owns(self, state: State, by: int, owner: Owner) -> Iterator[Step]:
        yield from self._signal(state, by, owner)
        if self.variant == "a lease instead of the fence" and (state.head is None or state.head.owner != by):
            return  # it looks at its lease before it writes
        call = self._commit(by, owner)
        yield Step(
            f"{NAMES[by]} sends its {_words(call)}", _with(state, by, owner._replace(phase="waits", call=call, signal=False))
        )

    def _commit(self, by: int, owner: Owner) -> Request:
        event = Event(owner.inc, owner.seq, by, owner.epoch, owner.signal)
        ident: tuple[int, ...] = (owner.inc, owner.seq, by, owner.epoch)
        if self.variant != "new content under the same number and id":
            ident = (*ident, int(owner.signal))
        return Request("commit", by, owner.inc, owner.epoch, event, ident)

    def _signal(self, state: State, by: int, owner: Owner) -> Iterator[Step]:
        if state.signals and not owner.signal:
            heard = _with(state, by, owner._replace(signal=True))._replace(signals=state.signals - 1)
            yield Step(f"a signal reaches {NAMES[by]}", heard)

    def _waits(self, state: State, by: int, owner: Owner) -> Iterator[Step]:
        assert owner.call is not None, "it waits for something"
        if owner.call.kind == "commit":
            yield from self._signal(state, by, owner)
        after, outcome = self._execute(state, owner.call)
        words = f"the store does {NAMES[by]}'s {_words(owner.call)} and answers: {outcome}"
        yield Step(words, self._answered(after, by, owner, outcome))
        if state.timeouts:
            late = state._replace(late=state.late | {owner.call}, timeouts=state.timeouts - 1)
            words = f"{NAMES[by]}'s {_words(owner.call)} times out: unknown"
            if self.variant == "go on at unknown" and owner.call.kind == "commit":
                yield Step(f"{words}; it goes on", self._answered(late, by, owner, "committed"), fault=True)
            else:
                yield Step(words, _with(late, by, owner._replace(phase="unsure")), fault=True)

    def _unsure(self, state: State, by: int, owner: Owner) -> Iterator[Step]:
        call = owner.call
        assert call is not None, "it is unsure of something"
        if call.kind == "acquire":
            yield Step(f"{NAMES[by]} gives its acquire up and looks again", _with(state, by, Owner()))
            return
        if call.kind == "commit":
            yield from self._signal(state, by, owner)
            if self.variant == "a serial read settles an unknown outcome":
                yield self._settle_by_reading(state, by, owner)
                return
            if self.variant == "new content under the same number and id" and owner.signal:
                call = self._commit(by, owner)
        elif self.variant == "a serial read that finds nothing settles a start" and state.head is None:
            told = _with(state, by, Owner())._replace(told_not_started=state.told_not_started | {call.inc})
            yield Step(f"{NAMES[by]} reads: there is no head. It tells the client: not started", told)
        again = _with(state, by, owner._replace(phase="waits", call=call))
        yield Step(f"{NAMES[by]} sends its {_words(call)} again", again)

    def _settle_by_reading(self, state: State, by: int, owner: Owner) -> Step:
        head = state.head
        if head is not None and head.inc == owner.inc and head.seq > owner.seq:
            words = f"{NAMES[by]} reads the head: event {owner.seq} is there, so its commit is taken for committed"
            return Step(words, self._answered(state, by, owner, "committed"))
        words = f"{NAMES[by]} reads the head: event {owner.seq} is not there, so its commit is taken for lost"
        return Step(words, _with(state, by, owner._replace(phase="owns", call=None)))

    # --- what follows from an answer -------------------------------------------------------------------------------------

    def _answered(self, state: State, by: int, owner: Owner, outcome: str) -> State:
        call = owner.call
        assert call is not None, "an answer answers a call"
        if call.kind == "create":
            state = state._replace(told_started=True)
            return _with(state, by, Owner() if outcome == "exists" else Owner("owns", call.inc, 1, 1))
        if outcome == "fenced":
            return _with(state, by, Owner())
        if call.kind == "acquire":
            epoch = call.epoch if self.variant == "acquire keeps the epoch" else call.epoch + 1
            return _with(state, by, Owner("owns", call.inc, epoch, len(state.rows)))
        assert call.event is not None, "a commit has an event"
        state = state._replace(effects=state.effects | {call.event})
        if owner.seq == END:
            return _with(state, by, Owner())
        return _with(state, by, owner._replace(phase="owns", seq=owner.seq + 1, call=None))

    # --- the store ---------------------------------------------------------------------------------------------------------

    def _execute(self, state: State, request: Request) -> tuple[State, str]:
        head, event = state.head, request.event
        if request.kind == "create":
            assert event is not None, "a create writes event 0"
            if head is None:
                made = Head(request.inc, request.by, 1, 1, request.commit)
                return state._replace(head=made, rows=(event,)), "committed"
            return state, "committed" if head.inc == request.inc else "exists"
        if head is None or (head.inc != request.inc and self.variant != "no incarnation in the condition"):
            return state, "fenced"
        if request.kind == "acquire":
            if head.inc != request.inc or head.epoch != request.epoch or _ended(state):
                return state, "fenced"
            epoch = head.epoch if self.variant == "acquire keeps the epoch" else head.epoch + 1
            return state._replace(head=head._replace(owner=request.by, epoch=epoch)), "committed"
        assert event is not None, "a commit has an event"
        return self._write(state, head, request, event)

    def _write(self, state: State, head: Head, request: Request, event: Event) -> tuple[State, str]:
        fits = head.epoch == request.epoch and head.seq == event.seq
        if self.variant == "a lease instead of the fence":
            fits = head.seq >= event.seq
        elif head.last == request.commit:
            return state, "committed"
        if not fits:
            void = self.variant == "plain write under a clustering epoch, go on at the acknowledgement"
            return state, "committed" if void else "fenced"
        wrong = ""
        if any(one != event for one in state.rows[event.seq : event.seq + 1]):
            wrong = f"G2: event {event.seq} was committed with one content and has another now"
        elif event.inc != head.inc:
            wrong = "G2: a run holds an event that was written for the run before it"
        rows = (*state.rows[: event.seq], event, *state.rows[event.seq + 1 :])
        written = head._replace(seq=len(rows), last=request.commit)
        return state._replace(head=written, rows=rows, wrong=wrong), "committed"


def _with(state: State, by: int, owner: Owner) -> State:
    return state._replace(owners=(owner, state.owners[1]) if by == 0 else (state.owners[0], owner))


def _claims(owner: Owner) -> bool:
    """It believes that the run is its own."""
    return owner.phase == "owns" or (owner.call is not None and owner.call.kind == "commit")


def _ended(state: State) -> bool:
    return len(state.rows) > END


def _words(what: Event | Request) -> str:
    if isinstance(what, Event):
        return f"event {what.seq} of {NAMES[what.by]} under epoch {what.epoch}" + (" with the signal" if what.signal else "")
    if what.kind == "acquire":
        return f"acquire (if the epoch is {what.epoch})"
    return f"{what.kind} ({_words(what.event)})" if what.event is not None else what.kind
