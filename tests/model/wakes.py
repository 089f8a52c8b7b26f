"""Hints, parking, messages and the watermark as a machine: one run, its home, and a second server that clients may reach.

The saga waits for a timer and for one signal, which may come at any time, and ends. `home` reads the hints, hands the run
out and has the worker that owns it; `taker` only takes what clients ask. A handled hint is gone, which is what the watermark
makes of it. Time is relative: a hint is due with the timer, later, now, or long ago, which is more than the grace time; how
long the timer takes is left open.

Assumed: a truth whose hint was written arrives within the grace time, or never. The fence is taken for granted (`commits.py`):
what was sent under an older epoch never fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.model.explore import Step

TIMER, LATER, DUE, OLD = 2, 1, 0, -1
WHEN = {DUE: "due now", OLD: "older than the grace time"}
SERVERS = ("home", "taker")
VARIANTS = {
    "": "",
    "hint after truth": "G7",
    "a hint is dropped before what follows is written": "G7",
    "a young hint with nothing behind it is dropped": "G7",
    "no hint for a message to the own worker, and young hints are dropped": "G7",
    "an owner is not looked at again": "G7",
    "no hint for a message": "G7",
    "no hint for a message to the own worker": "G7",
    "acknowledge before durable": "G6",
    "consume before commit": "G6",
}
"""Each with the promise that it must be found to break."""


class Call(NamedTuple):
    """What a server does for a client; `at` comes next: hint, create, put, tell. `hinted`: the hint is written."""

    kind: str
    at: str
    hinted: bool = False


class State(NamedTuple):
    """`owner`: nobody, live (a worker of the home), dead. `wake`, of the head: empty, now, timer. `look`, `release`, `acquire`:
    what the home is at, and how far it is. `late`: sent by a server that has crashed."""

    there: bool = False
    owner: str = "nobody"
    heard: bool = False
    fired: bool = False
    got: bool = False
    timer: int = TIMER
    wake: str = ""
    inbox: str = "empty"
    hints: frozenset[int] = frozenset()
    up: tuple[bool, bool] = (True, True)
    queued: bool = False
    look: tuple[str, int] = ("", LATER)
    release: str = ""
    acquire: bool = False
    commit: bool = False
    calls: tuple[Call | None, Call | None] = (None, None)
    late: frozenset[str] = frozenset()
    told_started: bool = False
    told_message: bool = False
    crashes: int = 1

    @property
    def ended(self) -> bool:
        return self.fired and self.got


class Wakes:
    """`variant` is one of VARIANTS."""

    def __init__(self, variant: str = "", *, crashes: int = 1) -> None:
        assert variant in VARIANTS, variant
        self.variant = variant
        self._drops_young = "young hint" in variant
        self.initial = State(crashes=crashes)

    def broken(self, state: State) -> str:
        carried = state.commit and state.heard
        if state.told_message and not state.got and state.inbox != "unread" and not carried and "commit" not in state.late:
            return "G6: an acknowledged message is in no inbox, no history and no commit under way"
        if state.there and not state.ended and state.owner != "live" and _is_still(state):
            if state.told_message and state.inbox == "unread":
                return "G7: an acknowledged message waits for the run, and no hint will bring anybody to it"
            if state.told_started and not state.fired:
                return "G7: the timer is to come, and no hint will bring anybody to the run"
        return ""

    def is_good_end(self, state: State) -> bool:
        return state.ended

    def steps(self, state: State) -> Iterator[Step]:
        for number, name in enumerate(SERVERS):
            if not state.up[number]:
                yield Step(f"the {name} starts again", state._replace(up=_put(state.up, number, True)))
            elif state.crashes:
                yield Step(f"the {name} crashes", _crash(state, number), fault=True)
        if state.up[0]:
            yield from self._own(state)
            yield from self._park(state)
            yield from self._look(state)
            yield from self._hand_out(state)
        for number in range(2):
            if state.up[number]:
                yield from self._serve(state, number)
        for what in sorted(state.late):
            gone = state._replace(late=state.late - {what})
            yield Step(f"the late {what} arrives", _arrive(gone, what))
            yield Step(f"the late {what} is lost for good", gone)
        yield from _tick(state)

    # --- the owner -------------------------------------------------------------------------------------------------------

    def _own(self, state: State) -> Iterator[Step]:
        if state.owner != "live" or state.release or state.ended:
            return
        if state.commit:
            yield Step("the owner's commit is done", _committed(state))
        elif (state.timer == DUE and not state.fired) or (state.heard and not state.got):
            sent = state._replace(commit=True)
            if self.variant == "consume before commit" and state.heard:
                sent = sent._replace(inbox="consumed")
            yield Step("the owner sends its commit", sent)
        else:
            first = "commit" if state.fired or self.variant == "hint after truth" else "hint"
            yield Step("the owner gives the run back: it only waits", state._replace(release=first))

    def _park(self, state: State) -> Iterator[Step]:
        if state.release == "hint":
            yield Step("the home writes the hint of the timer", _hint(state, state.timer)._replace(release="commit"))
        elif state.release == "commit":
            then = "late hint" if self.variant == "hint after truth" and not state.fired else "look"
            yield Step("the run is released: nobody owns it", _released(state)._replace(release=then))
        elif state.release == "late hint":
            yield Step("the home writes the hint of the timer", _hint(state, state.timer)._replace(release="look"))
        elif state.release == "look":
            due = _is_time(state) or state.inbox == "unread"
            words = "it can go on already" if due else "nothing is due"
            after = state._replace(release="", queued=state.queued or due)
            yield Step(f"the home looks behind the release: {words}", after)

    # --- hints -----------------------------------------------------------------------------------------------------------

    def _look(self, state: State) -> Iterator[Step]:
        at, hint = state.look
        if at == "hint":
            after = _hint(state, LATER) if self.variant != "an owner is not looked at again" else state
            yield Step("the home writes a later hint", after._replace(look=("wake", hint)))
        elif at == "wake":
            unread = state.inbox == "unread"
            if state.owner == "live":
                after = state._replace(heard=state.heard or unread, look=("", LATER))
                yield Step("the home brings the owner what is unread", _handled(after, hint))
            else:
                yield Step("the home wakes the run", _handled(state._replace(queued=True, look=("", LATER)), hint))
        else:
            for due in sorted(state.hints & {DUE, OLD}):
                yield self._decide(state, due)

    def _decide(self, state: State, hint: int) -> Step:
        words = f"the home looks at the hint that is {WHEN[hint]}: "
        drops = self.variant == "a hint is dropped before what follows is written"
        can_go_on = state.inbox == "unread" or _is_time(state)
        if state.ended:
            return Step(words + "the run has ended", _handled(state, hint))
        if state.there and (state.owner != "nobody" or can_go_on):
            found = _handled(state, hint) if drops else state
            why = "it has an owner" if state.owner != "nobody" else "it can go on"
            return Step(words + why, found._replace(look=("hint", hint)))
        why = "nobody owns it and it only waits" if state.there else "there is no run"
        is_done = hint == OLD or (self._drops_young and state.there)
        return Step(words + why, _handled(state, hint) if is_done else state)

    def _hand_out(self, state: State) -> Iterator[Step]:
        if state.acquire:
            if state.owner == "live" or state.ended:
                yield Step("the home's acquire finds an owner or an end", state._replace(acquire=False))
                return
            late = state.late - {"commit", "release", "acquire"}
            won = state._replace(owner="live", acquire=False, late=late, commit=False, heard=state.inbox == "unread")
            yield Step("the home takes the run and reads the inbox; its worker has it", won)
        elif state.queued:
            yield Step("the home begins to hand the run out", state._replace(queued=False, acquire=state.there))

    # --- clients ---------------------------------------------------------------------------------------------------------

    def _serve(self, state: State, number: int) -> Iterator[Step]:
        call, name, late = state.calls[number], SERVERS[number], self.variant == "hint after truth"
        if call is None:
            yield from self._ask(state, number)
            return
        if call.at == "hint":
            following = "tell" if call.kind == "start" and late else {"start": "create", "signal": "put"}[call.kind]
            written = _hint(_call(state, number, call._replace(at=following, hinted=True)), LATER)
            yield Step(f"the {name} writes the hint of the {call.kind}", written)
        elif call.at == "create":
            made = state if state.there else state._replace(there=True, wake="now")
            following = "hint" if late and not call.hinted else "tell"
            yield Step(f"the {name} creates the run", _call(made, number, call._replace(at=following)))
        elif call.at == "put":
            put = state._replace(inbox="unread") if state.inbox == "empty" else state
            yield Step(f"the {name} puts the message into the inbox", _call(put, number, call._replace(at="tell")))
        else:
            told = _call(state, number, None)
            told = told._replace(told_started=True) if call.kind == "start" else told._replace(told_message=True)
            if number == 0 and state.owner == "live" and call.kind == "signal":
                told = told._replace(heard=state.heard or state.inbox == "unread")
            elif number == 0 and state.owner == "nobody" and call.hinted:  # else it sends it to the owner that it knew before
                told = told._replace(queued=True)
            yield Step(f"the {name} acknowledges the {call.kind}", told)

    def _ask(self, state: State, number: int) -> Iterator[Step]:
        name, other = SERVERS[number], state.calls[1 - number]
        if not state.told_started and other is None:
            at = "create" if self.variant == "hint after truth" else "hint"
            yield Step(f"a client starts the saga through the {name}", _call(state, number, Call("start", at)))
        elif state.told_started and not state.told_message and not state.got and other is None:
            trusts = "own worker" in self.variant and number == 0 and state.owner == "live" and not state.release
            at = "put" if trusts or self.variant == "no hint for a message" else "hint"
            asked = _call(state, number, Call("signal", at))
            if self.variant == "acknowledge before durable":
                asked = asked._replace(told_message=True)
            yield Step(f"a client sends the signal to the {name}", asked)


def _is_time(state: State) -> bool:
    return state.wake == "now" or (state.wake == "timer" and state.timer == DUE)


def _is_still(state: State) -> bool:
    """Nothing is under way, nothing is to be looked at."""
    at_work = state.queued or state.acquire or state.release or state.look[0]
    return not (state.hints or state.late or at_work or any(state.calls))


def _put(up: tuple[bool, bool], number: int, value: bool) -> tuple[bool, bool]:
    return (value, up[1]) if number == 0 else (up[0], value)


def _call(state: State, number: int, call: Call | None) -> State:
    return state._replace(calls=(call, state.calls[1]) if number == 0 else (state.calls[0], call))


def _hint(state: State, due: int) -> State:
    return state._replace(hints=state.hints | {due})


def _handled(state: State, hint: int) -> State:
    return state._replace(hints=state.hints - {hint})


def _committed(state: State) -> State:
    got = state.got or state.heard
    after = state._replace(fired=state.fired or state.timer == DUE, got=got, commit=False, heard=state.heard)
    after = after._replace(inbox="consumed" if got else state.inbox)
    return after._replace(owner="nobody") if after.ended else after


def _released(state: State) -> State:
    return state._replace(owner="nobody", heard=False, wake="" if state.fired else "timer")


def _crash(state: State, number: int) -> State:
    """What the server had on its way may still arrive; what it knew is gone."""
    late, call = set(state.late), state.calls[number]
    if call is not None and call.at in ("create", "put"):
        late.add(call.at)
    state = _call(state._replace(up=_put(state.up, number, False), crashes=state.crashes - 1), number, None)
    if number == 0:
        late |= {"commit"} if state.commit else set()
        late |= {"release"} if state.release == "commit" else set()
        late |= {"acquire"} if state.acquire else set()
        owner = "dead" if state.owner == "live" else state.owner
        state = state._replace(queued=False, look=("", LATER), release="", acquire=False, owner=owner)
        state = state._replace(commit=False, heard=state.heard and "commit" in late)
    return state._replace(late=frozenset(late))


def _arrive(state: State, what: str) -> State:
    if what == "create":
        return state if state.there else state._replace(there=True, wake="now")
    if what == "put":
        return state._replace(inbox="unread") if state.inbox == "empty" else state
    if what == "commit":
        return _committed(state)._replace(heard=False) if state.owner == "dead" else state
    if what == "release":
        return _released(state) if state.owner == "dead" else state
    return (
        state if state.owner == "live" or state.ended else state._replace(owner="dead", late=state.late - {"commit", "release"})
    )


def _tick(state: State) -> Iterator[Step]:
    """Time moves, but it does not outrun the grace time of a hint whose truth is still on its way."""
    pending = any(call is not None and call.at in ("create", "put") for call in state.calls)
    pending |= bool(state.late & {"create", "put"}) or state.look[0] != ""
    if pending and DUE in state.hints:
        return
    hints = frozenset(hint if hint == TIMER else max(hint - 1, OLD) for hint in state.hints)
    if hints != state.hints:
        yield Step("time passes", state._replace(hints=hints))
    if state.there and state.timer == TIMER:
        hints = frozenset(DUE if hint == TIMER else hint for hint in state.hints)
        yield Step("the time of the timer comes", state._replace(hints=hints, timer=DUE))
