"""The conditional writes on a head: what they ask for, what they change, and what their sender does with the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.model.explore import Step
from tests.model.log_state import (
    END,
    MESSAGE,
    NOBODY,
    Change,
    Event,
    Head,
    Held,
    Setting,
    State,
    claim,
    spend,
    with_head,
    with_run,
    with_server,
    words,
)

NAMES = "ABC"
Answered = Callable[[State], State]


def ask(
    setting: Setting, state: State, change: Change, *, applied: Answered, fenced: Answered, unknown: Answered
) -> Iterator[Step]:
    """It is carried out and answered; or its sender never hears of it, and it is carried out later, or never."""
    said = f"{NAMES[change.by]}'s {told(change)}"
    after, is_done = execute(setting, state, change)
    yield Step(f"{said} {'is applied' if is_done else 'is fenced'}", applied(after) if is_done else fenced(after))
    if state.left.timeouts:
        late = spend(state, "timeouts")._replace(late=state.late | {change})
        yield Step(f"{said} times out: unknown", unknown(late), fault=True)


def execute(setting: Setting, state: State, change: Change) -> tuple[State, bool]:
    now, knew, kept = state.heads[change.run], change.head, change.kept
    if change.kind == "change" and now.inc == knew.inc and now.epoch == knew.epoch and now.kept[: len(kept)] == kept:
        return state, True  # an earlier copy of it: the head bears its commit id
    if not fits(setting, now, knew):
        return state, False
    if change.kind == "acquire":
        head = now._replace(epoch=now.epoch + 1, owner=state.servers[change.by].fence, kept=kept)
    elif change.kind == "release":
        head = now._replace(owner=NOBODY, kept=kept)
    elif change.kind == "change":
        head = now._replace(kept=kept)
    elif change.kind == "end":
        head = now._replace(status="ended", kept=(*kept, Event(now.epoch, END)))
    else:
        head = now._replace(epoch=now.epoch + 1, status="ended", kept=(*kept, Event(now.epoch + 1, END)))
    after = with_head(state, change.run, head)
    if now.inc != knew.inc and kept:
        return after._replace(wrong="G2: a run holds what was written for the run before it"), True
    if head.status == "ended":
        after = claim(after, "shown", change.run, head.inc, head.kept)
    return after, True


def fits(setting: Setting, now: Head, knew: Head) -> bool:
    """The condition; once false for a life of a run, it is false for good."""
    same_life = now.inc == knew.inc or setting.variant == "no incarnation in the condition"
    same_place = len(now.kept) == len(knew.kept) or setting.variant == "a condition does not name the place"
    return now.status == "open" and same_life and now.epoch == knew.epoch and now.owner == knew.owner and same_place


def late_ones(setting: Setting, state: State) -> Iterator[Step]:
    for change in sorted(state.late):
        gone = state._replace(late=state.late - {change})
        yield Step(f"the late {told(change)} of {NAMES[change.by]} arrives", execute(setting, gone, change)[0])


def told(change: Change) -> str:
    return f"{change.kind} of run {change.run} (if epoch {change.head.epoch}; it keeps {words(change.kept)})"


# --- a life and the next one --------------------------------------------------------------------------------------------------


def purges(state: State) -> Iterator[Step]:
    """The head, by a condition, with what stands with it. Nobody asks for what is left in a log. Then the id is used again."""
    for run, head in enumerate(state.heads):
        if head.status == "ended" and state.left.purges:
            yield Step(f"the ended run {run} is purged", with_head(spend(state, "purges"), run, head._replace(status="purged")))
        elif head.status == "purged":
            for by, server in enumerate(state.servers):
                if server.is_up:
                    yield Step(f"the id of run {run} is used again, through {NAMES[by]}", _begun(state, run, by))


def _begun(state: State, run: int, by: int) -> State:
    head = state.heads[run]
    new = Head(head.inc + 1, 1, state.servers[by].fence, past=head.kept)
    acted, shown = list(state.acted), list(state.shown)
    acted[run] = shown[run] = ()
    begun = with_head(state, run, new)._replace(acted=tuple(acted), shown=tuple(shown))
    return with_server(begun, by, with_run(begun.servers[by], run, Held(new, ())))


def is_heard(history: tuple[Event, ...]) -> bool:
    return any(event.content == MESSAGE for event in history)
