"""Parking, messages, hints and the watermark as a machine: one run, two processes, each a server with its worker.

The saga sleeps until a timer, waits for one signal (which may come at any time) and ends. Conditional writes carry a claim
that is either current or stale: an acquire makes every other one stale, and a stale one never fits again, so epochs need no
numbers. Time is relative: a hint is due later (1), due (0), or due and older than the grace time (-1). What a process that
crashes had on its way is late: it arrives at any time, or never.

Assumed, as docs/commit-protocol.md does: a truth whose hint is written arrives within the grace time, or never.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.model.explore import Step

NAMES = ("A", "B", "a terminate")
NOBODY, TERMINATE = -1, 2
LATER, DUE, OLD, MERGED = 1, 0, -1, -2
WHEN = {LATER: "due later", DUE: "due now", OLD: "older than the grace time"}
VARIANTS = {
    "": "",
    "hint after truth": "G7",
    "delete the hint before handling it": "G7",
    "the watermark passes an unhandled hint": "G7",
    "the watermark passes a young hint": "G7",
    "each stretch of hints is read once": "G7",
    "acknowledge before durable": "G6",
    "consume before commit": "G6",
    "terminate takes the run for nobody": "G7",
    "no hint for a message to the own worker": "G7",
}
"""Each with the promise that it must be found to break."""


class Claim(NamedTuple):
    """A worker's view of the run that it owns. `sends` is the commit under way: (fired, got) as they are after it."""

    current: bool
    fired: bool
    got: bool
    heard: bool = False
    sends: tuple[bool, bool] | None = None
    consumes: bool = False


class Late(NamedTuple):
    """A write of a process that has crashed. A stale one can never apply and is left out."""

    kind: str
    by: int = NOBODY
    timer: bool = False
    after: tuple[bool, bool] = (False, False)


class Task(NamedTuple):
    """What a process is doing beside its claim; `at` names the call that comes next."""

    kind: str
    at: str
    hint: int = LATER
    wakes: bool = False
    current: bool = True


class Process(NamedTuple):
    up: bool = True
    claim: Claim | None = None
    queued: bool = False
    look: Task | None = None
    acquire: Task | None = None
    release: Task | None = None
    call: Task | None = None
    handled: frozenset[int] = frozenset()
    known: frozenset[int] = frozenset()


class State(NamedTuple):
    there: bool = False
    owner: int = NOBODY
    fired: bool = False
    got: bool = False
    ended: bool = False
    wake: str = ""
    timer: int = LATER
    message: str = "not sent"
    hints: frozenset[int] = frozenset()
    late: frozenset[Late] = frozenset()
    processes: tuple[Process, ...] = (Process(), Process())
    told_started: bool = False
    told_message: bool = False
    crashes: int = 1
    terminates: int = 0


class Wakes:
    """`variant` is one of VARIANTS. `case`: "whole"; "timer", where no signal is waited for; "message", which begins with the
    run parked behind its timer. The parts are small enough for more crashes than the whole."""

    def __init__(self, variant: str = "", case: str = "whole", *, crashes: int = 1, terminates: int = 0) -> None:
        assert variant in VARIANTS, variant
        assert case in ("whole", "timer", "message"), case
        self.variant = variant
        self.initial = State(crashes=crashes, terminates=terminates)
        if case == "timer":
            self.initial = self.initial._replace(got=True, told_message=True)
        elif case == "message":
            self.initial = self.initial._replace(there=True, fired=True, timer=DUE, told_started=True)

    def broken(self, state: State) -> str:
        unread = state.message == "unread" and not state.got
        if state.there and not state.ended and not state.hints:
            if unread and state.told_message:
                return "G7: an acknowledged message waits for the run, and no hint will ever bring anybody to it"
            if not state.fired:
                owner = "an owner that may die" if state.owner != NOBODY else "no owner"
                return f"G7: the run has something to do and {owner}, and no hint will ever bring anybody to it"
        if state.told_message and not state.got and not state.ended and not unread and not _carried(state):
            return "G6: an acknowledged message is in no inbox, no history and no commit under way"
        return ""

    def is_good_end(self, state: State) -> bool:
        return state.ended

    # --- what may happen ---------------------------------------------------------------------------------------------------

    def steps(self, state: State) -> Iterator[Step]:
        for by in range(2):
            one = state.processes[by]
            if not one.up:
                yield Step(f"{NAMES[by]} starts again", _with(state, by, Process(known=state.hints)))
                continue
            if state.crashes:
                yield Step(f"{NAMES[by]} crashes", _crash(state, by), fault=True)
            yield from self._owner(state, by, one)
            yield from self._releasing(state, by, one)
            yield from self._acquiring(state, by, one)
            yield from self._looking(state, by, one)
            yield from self._watermark(state, by, one)
            yield from self._calls(state, by, one)
        for write in state.late:
            gone = state._replace(late=state.late - {write})
            yield Step(f"the late {write.kind} arrives", _arrive(gone, write))
            yield Step(f"the late {write.kind} is lost for good", gone)
        yield from _tick(state)

    # --- the owner -----------------------------------------------------------------------------------------------------------

    def _owner(self, state: State, by: int, one: Process) -> Iterator[Step]:
        claim = one.claim
        if claim is None:
            return
        name = NAMES[by]
        if claim.sends is not None:
            if not claim.current:
                yield Step(f"{name}'s commit is fenced; it drops the run", _with(state, by, one._replace(claim=None)))
                return
            after = claim._replace(fired=claim.sends[0], got=claim.sends[1], sends=None)
            after = after._replace(consumes=after.got and state.message == "unread")
            kept = None if all(claim.sends) and not after.consumes else after
            committed = _with(_commit(state, claim.sends), by, one._replace(claim=kept))
            yield Step(f"{name}'s commit is done and acknowledged: {_facts(claim.sends)}", committed)
            return
        if claim.consumes:
            kept = None if claim.fired and claim.got else claim._replace(consumes=False)
            yield Step(f"{name} takes the message out of the inbox", _with(_consume(state), by, one._replace(claim=kept)))
            return
        sends = (claim.fired or (state.timer == DUE), claim.got or claim.heard)
        if sends != (claim.fired, claim.got):
            early = self.variant == "consume before commit" and claim.heard and not claim.got
            words = "takes the message out of the inbox and sends its commit" if early else "sends its commit"
            sent = _with(state, by, one._replace(claim=claim._replace(sends=sends)))
            yield Step(f"{name} {words}: {_facts(sends)}", _consume(sent) if early else sent)
        else:
            first = "hint" if not claim.fired and self.variant != "hint after truth" else "commit"
            release = Task("release", first, wakes=not claim.fired, current=claim.current)
            if one.release is None:
                words = f"{name}'s worker gives the run back: it only waits"
                yield Step(words, _with(state, by, one._replace(claim=None, release=release)))

    def _releasing(self, state: State, by: int, one: Process) -> Iterator[Step]:
        task, name = one.release, NAMES[by]
        if task is None:
            return
        late = self.variant == "hint after truth"
        if task.at == "hint":
            following = one._replace(release=task._replace(at="due" if late else "commit"))
            yield Step(f"{name} writes the hint of the timer", self._hint(_with(state, by, following), by, state.timer))
        elif task.at == "commit" and not task.current:
            yield Step(f"{name}'s release is fenced", _with(state, by, one._replace(release=None)))
        elif task.at == "commit":
            following = one._replace(release=task._replace(at="hint" if late and task.wakes else "due"))
            words = f"{name} writes the release: nobody owns the run" + (", its timer is to come" if task.wakes else "")
            yield Step(words, _with(_release(state, task.wakes), by, following))
        else:
            due = (task.wakes and state.timer == DUE) or state.message == "unread"
            following = one._replace(release=None, queued=one.queued or due)
            words = "it can go on already" if due else "nothing is due"
            yield Step(f"{name} looks behind its release: {words}", _with(state, by, following))

    # --- hand-out ------------------------------------------------------------------------------------------------------------

    def _acquiring(self, state: State, by: int, one: Process) -> Iterator[Step]:
        task, name = one.acquire, NAMES[by]
        if task is None:
            if one.queued and (one.claim is not None or not state.there or state.ended):
                yield Step(f"{name} finds nothing to hand out", _with(state, by, one._replace(queued=False)))
            elif one.queued:
                begun = one._replace(queued=False, acquire=Task("acquire", "acquire"))
                yield Step(f"{name} reads the head to hand the run out", _with(state, by, begun))
        elif not task.current or state.ended:
            yield Step(f"{name}'s acquire is fenced", _with(state, by, one._replace(queued=True, acquire=None)))
        else:
            won = _all_stale(state._replace(owner=by))
            heard = state.message == "unread"
            claim = Claim(True, state.fired, state.got, heard and not state.got, consumes=heard and state.got)
            given = won.processes[by]._replace(acquire=None, claim=claim)
            yield Step(f"{name} acquires the run and reads history and inbox; its worker has it", _with(won, by, given))

    # --- hints ---------------------------------------------------------------------------------------------------------------

    def _hint(self, state: State, by: int, due: int) -> State:
        one = state.processes[by]
        if self.variant == "each stretch of hints is read once":
            one = one._replace(known=one.known | {due})
            state = _with(state, by, one)
        return _forget(state, frozenset({due}))._replace(hints=state.hints | {due})

    def _looking(self, state: State, by: int, one: Process) -> Iterator[Step]:
        task, name = one.look, NAMES[by]
        if task is not None:
            yield self._look_on(state, by, one, task)
            return
        for hint in sorted(state.hints - one.handled - {LATER}):
            if self.variant == "each stretch of hints is read once" and hint not in one.known:
                continue
            taken = state
            if self.variant == "delete the hint before handling it":
                taken = state._replace(hints=state.hints - {hint})
            found, then = self._decide(state, one), Task("look", "rehint", hint)
            words = f"{name} looks at the hint that is {WHEN[hint]}: {found}"
            if found == "nobody owns it":
                yield Step(words, _with(taken, by, one._replace(look=then._replace(at="inbox"))))
            elif found in ("it is not there", "it has ended"):
                yield Step(words, self._ignore(taken, by, one, hint, final=state.ended))
            else:
                wakes = found != "my own worker has it"
                yield Step(words, _with(taken, by, one._replace(look=then._replace(wakes=wakes))))

    def _decide(self, state: State, one: Process) -> str:
        if not state.there or state.ended:
            return "it has ended" if state.ended else "it is not there"
        if one.claim is not None:
            return "my own worker has it"
        if state.owner != NOBODY:
            return f"{NAMES[state.owner]} owns it"
        if state.wake == "now" or (state.wake == "timer" and state.timer == DUE):
            return "its time has come"
        return "nobody owns it"

    def _look_on(self, state: State, by: int, one: Process, task: Task) -> Step:
        name = NAMES[by]
        if task.at == "inbox":
            if state.message == "unread":
                found = one._replace(look=task._replace(at="rehint", wakes=True))
                return Step(f"{name} finds a message in the inbox", _with(state, by, found))
            return Step(f"{name} finds no message", self._ignore(state, by, one._replace(look=None), task.hint, final=False))
        done = one._replace(look=None, queued=one.queued or task.wakes, handled=one.handled | {task.hint} & state.hints)
        written = self._hint(_with(state, by, done), by, LATER)
        return Step(f"{name} writes a later hint" + (" and wakes the run" if task.wakes else ""), written)

    def _ignore(self, state: State, by: int, one: Process, hint: int, *, final: bool) -> State:
        """There is nothing behind the hint. It counts as handled only when it is older than the grace time."""
        if final or hint == OLD or self.variant == "the watermark passes a young hint":
            one = one._replace(handled=one.handled | {hint} & state.hints)
        return _with(state, by, one)

    def _watermark(self, state: State, by: int, one: Process) -> Iterator[Step]:
        passed = state.hints & ({OLD, DUE} if self.variant == "the watermark passes a young hint" else {OLD})
        looked_at = passed & one.known if self.variant == "each stretch of hints is read once" else passed
        if passed and (looked_at <= one.handled or self.variant == "the watermark passes an unhandled hint"):
            moved = _forget(state, passed)._replace(hints=state.hints - passed)
            yield Step(f"{NAMES[by]} moves the watermark on", moved)

    # --- clients ------------------------------------------------------------------------------------------------------------

    def _calls(self, state: State, by: int, one: Process) -> Iterator[Step]:
        task, name = one.call, NAMES[by]
        if task is not None:
            yield from getattr(self, f"_{task.kind}")(state, by, one, task)
            return
        if by and state.processes[0].up:
            return  # the processes are alike: clients go to A while it is up
        busy = {other.call.kind for other in state.processes if other.call is not None}
        if not state.told_started and "start" not in busy:
            at = "create" if self.variant == "hint after truth" else "hint"
            yield Step(f"a client starts the saga through {name}", _with(state, by, one._replace(call=Task("start", at))))
        if state.told_started and not (state.told_message or state.got) and "signal" not in busy and not state.ended:
            trusts = one.claim is not None and self.variant == "no hint for a message to the own worker"
            call = Task("signal", "put" if trusts else "hint")
            told = state._replace(told_message=self.variant == "acknowledge before durable")
            words = f"a client sends the signal to {name}" + (", which acknowledges it" if told.told_message else "")
            yield Step(words, _with(told, by, one._replace(call=call)))
        if state.told_started and state.terminates and not state.ended:
            at = "acquire" if self.variant == "terminate takes the run for nobody" else "hint"
            begun = _with(state, by, one._replace(call=Task("terminate", at)))
            yield Step(f"a client terminates the saga through {name}", begun._replace(terminates=state.terminates - 1))

    def _start(self, state: State, by: int, one: Process, task: Task) -> Iterator[Step]:
        name, late = NAMES[by], self.variant == "hint after truth"
        if task.at == "hint":
            following = one._replace(call=None if late else task._replace(at="create"))
            yield Step(f"{name} writes the hint of the start", self._hint(_with(state, by, following), by, LATER))
            return
        after = one._replace(call=task._replace(at="hint") if late else None)
        if state.there:
            yield Step(f"{name}: the saga is there already", _with(state, by, after)._replace(told_started=True))
            return
        created = state._replace(there=True, wake="now", told_started=True)
        owned = _with(created._replace(owner=by), by, after._replace(claim=Claim(True, False, False)))
        yield Step(f"{name} creates the run, owned by its worker, and acknowledges", owned)
        yield Step(f"{name} creates the run, owned by nobody yet", _with(created, by, after._replace(queued=True)))

    def _signal(self, state: State, by: int, one: Process, task: Task) -> Iterator[Step]:
        name = NAMES[by]
        if task.at == "hint":
            written = self._hint(_with(state, by, one._replace(call=task._replace(at="put"))), by, LATER)
            yield Step(f"{name} writes the hint of the message", written)
        elif task.at == "put":
            put = _with(state, by, one._replace(call=task._replace(at="push", wakes=state.message == "not sent")))
            yield Step(f"{name} puts the message into the inbox", _put(put))
        else:
            claim = one.claim
            if claim is not None and task.wakes and not claim.got:
                claim = claim._replace(heard=True)
            pushed = one._replace(call=None, claim=claim, queued=one.queued or claim is None)
            words = "acknowledges it and pushes it to its worker" if claim else "acknowledges it and wakes the run"
            yield Step(f"{name} {words}", _with(state, by, pushed)._replace(told_message=True))

    def _terminate(self, state: State, by: int, one: Process, task: Task) -> Iterator[Step]:
        name = NAMES[by]
        if state.ended or (task.at != "hint" and not task.current):
            yield Step(f"{name}'s terminate does not fit any more", _with(state, by, one._replace(call=None)))
        elif task.at == "hint":
            written = self._hint(_with(state, by, one._replace(call=task._replace(at="acquire"))), by, LATER)
            yield Step(f"{name} writes the hint of the terminate", written)
        elif task.at == "acquire":
            nobody = self.variant == "terminate takes the run for nobody"
            taken = _all_stale(state._replace(owner=NOBODY if nobody else TERMINATE))
            taken = _with(taken, by, taken.processes[by]._replace(call=Task("terminate", "commit")))
            yield Step(f"{name} takes the run to terminate it", taken)
        else:
            ended = _with(state._replace(ended=True, owner=NOBODY), by, one._replace(call=None))
            yield Step(f"{name} writes the end", ended)


# --- the store, and time ----------------------------------------------------------------------------------------------------


def _with(state: State, by: int, one: Process) -> State:
    return state._replace(processes=(one, state.processes[1]) if by == 0 else (state.processes[0], one))


def _commit(state: State, after: tuple[bool, bool]) -> State:
    ended = all(after)
    owner = NOBODY if ended else state.owner
    return state._replace(fired=after[0], got=after[1], ended=state.ended or ended, owner=owner, wake="")


def _release(state: State, timer: bool) -> State:
    return state._replace(owner=NOBODY, wake="timer" if timer else "")


def _consume(state: State) -> State:
    return state._replace(message="consumed")


def _put(state: State) -> State:
    return state._replace(message="unread") if state.message == "not sent" else state


def _all_stale(state: State) -> State:
    """A new epoch: what was sent under an older one fits no more."""
    processes = []
    for one in state.processes:
        claim = one.claim._replace(current=False) if one.claim else None
        acquire, release, call = (task and task._replace(current=False) for task in (one.acquire, one.release, one.call))
        processes.append(one._replace(claim=claim, acquire=acquire, release=release, call=call))
    late = frozenset(write for write in state.late if write.kind in ("create", "message"))
    return state._replace(processes=tuple(processes), late=late)


def _crash(state: State, by: int) -> State:
    """What the process had on its way may still arrive."""
    one, late = state.processes[by], set(state.late)
    if one.claim is not None and one.claim.sends is not None and one.claim.current:
        late.add(Late("commit", after=one.claim.sends))
    if one.release is not None and one.release.at == "commit" and one.release.current:
        late.add(Late("release", timer=one.release.wakes))
    if one.acquire is not None and one.acquire.at == "acquire" and one.acquire.current:
        late.add(Late("acquire", by))
    if one.call is not None and one.call.at == "create":
        late.add(Late("create", by))
    if one.call is not None and one.call.at == "put":
        late.add(Late("message"))
    return _with(state, by, Process(up=False))._replace(late=frozenset(late), crashes=state.crashes - 1)


def _arrive(state: State, write: Late) -> State:
    if write.kind == "create":
        return state if state.there else state._replace(there=True, wake="now", owner=write.by)
    if write.kind == "message":
        return _put(state)
    if state.ended:
        return state
    if write.kind == "acquire":
        return _all_stale(state._replace(owner=write.by))
    return _commit(state, write.after) if write.kind == "commit" else _release(state, write.timer)


def _tick(state: State) -> Iterator[Step]:
    """Time moves. It does not outrun the grace time of a hint whose truth is still on its way."""
    tasks = [task for one in state.processes for task in (one.call, one.acquire) if task is not None]
    pending = any(task.at in ("create", "put", "acquire") for task in tasks)
    pending |= any(write.kind in ("create", "message", "acquire") for write in state.late)
    if pending and DUE in state.hints:
        return
    processes = []
    for one in state.processes:
        old = state.hints - {LATER}
        handled = frozenset({OLD}) if old and old <= one.handled else frozenset()
        look = one.look
        if look is not None:  # two hints that become equally old are one here: a look at one of them stands for neither
            look = look._replace(hint=MERGED if len(old) == 2 or look.hint == MERGED else OLD)
        known = frozenset(max(hint - 1, OLD) for hint in one.known & state.hints)
        processes.append(one._replace(handled=handled, look=look, known=known))
    hints = frozenset(max(hint - 1, OLD) for hint in state.hints)
    moved = state._replace(hints=hints, timer=DUE if state.there else LATER, processes=tuple(processes))
    if moved != state:
        yield Step("time passes", moved)


def _forget(state: State, hints: frozenset[int]) -> State:
    """What was handled or is being looked at there does not count for a hint that comes there later."""
    processes = []
    for one in state.processes:
        look = one.look._replace(hint=MERGED) if one.look is not None and one.look.hint in hints else one.look
        processes.append(one._replace(handled=one.handled - hints, look=look))
    return state._replace(processes=tuple(processes))


def _carried(state: State) -> bool:
    """The message is in a worker that may still commit it, or in a commit under way."""
    held = any(one.claim is not None and one.claim.current and one.claim.heard for one in state.processes)
    return held or any(write.kind == "commit" and write.after[1] for write in state.late)


def _facts(sends: tuple[bool, bool]) -> str:
    return " and ".join(word for word, is_in in zip(("timer fired", "message received"), sends, strict=True) if is_in)
