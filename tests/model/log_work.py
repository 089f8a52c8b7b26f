"""A server at work in its log: groups of rows, validations, and the changes of heads that it asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from tests.model.explore import Step
from tests.model.log_changes import NAMES, ask, is_heard
from tests.model.log_state import (
    CHANGED,
    MESSAGE,
    PLAIN,
    Change,
    Event,
    Held,
    Row,
    Server,
    Setting,
    State,
    Validation,
    claim,
    spend,
    with_run,
    with_server,
    words,
)
from tests.model.replicas import ONE, QUORUM, acknowledged, read_first, read_second, without


@dataclass(frozen=True)
class Work:
    setting: Setting

    def steps(self, state: State, by: int) -> Iterator[Step]:
        server = state.servers[by]
        yield from self._groups(state, by, server)
        yield from self._validate(state, by, server)
        for run, held in enumerate(server.runs):
            if held is not None and held.asking is not None:
                yield from self._change(state, by, run, held, held.asking)
            elif held is not None:
                yield from self._message(state, by, run, held)
                yield from self._finish(state, by, run, held)

    # --- groups of rows -----------------------------------------------------------------------------------------------------

    def _groups(self, state: State, by: int, server: Server) -> Iterator[Step]:
        if len(server.groups) < self.setting.pipe:
            ready = [run for run, held in enumerate(server.runs) if held is not None and self._can_send(held)]
            for size in range(1, len(ready) + 1):
                for chosen in combinations(ready, size):
                    yield self._send(state, by, server, chosen)
        if server.groups:
            yield from self._acknowledge(state, by, server)
            yield from self._send_other(state, by, server)

    def _can_send(self, held: Held) -> bool:
        room = len(held.history) + len(held.sent) < self.setting.length
        return room and len(held.sent) < self.setting.pipe and not held.void and held.asking is None

    def _send(self, state: State, by: int, server: Server, chosen: tuple[int, ...]) -> Step:
        group: list[Row] = []
        for run in chosen:
            held = server.runs[run]
            assert held is not None, "it can send"
            content = MESSAGE if held.heard else PLAIN if held.head.inc == 1 else CHANGED  # no life has rows like another
            group.append(Row(run, held.head.inc, held.head.epoch, len(held.everything), content))
            server = with_run(server, run, held._replace(sent=(*held.sent, content), heard=False))
        write = sum(self.setting.row(row) for row in group)
        sent = with_server(state, by, server._replace(groups=(*server.groups, tuple(group))))
        return Step(f"{NAMES[by]} sends {_told(group)} in one batch", sent._replace(sent=state.sent | {write}))

    def _acknowledge(self, state: State, by: int, server: Server) -> Iterator[Step]:
        group, others = server.groups[0], server.groups[1:]
        write = sum(self.setting.row(row) for row in group)
        need = ONE if self.setting.variant == "an append at ONE" else QUORUM
        done = server._replace(groups=others)
        acting: list[tuple[int, Held]] = []
        for row in group:
            held = server.runs[row.run]
            if held is None or held.key != (row.inc, row.epoch):
                continue
            held = held._replace(acked=held.acked + 1)
            if self.setting.variant == "act on the acknowledgement":
                held = _committed(held, held.acked)
                acting.append((row.run, held))
            done = with_run(done, row.run, held)
        for replicas in acknowledged(state.replicas, write, need):
            after = with_server(state._replace(replicas=replicas), by, done)
            for run, held in acting:
                after = claim(after, "acted", run, held.head.inc, held.history)
            yield Step(f"{NAMES[by]} is acknowledged {_told(group)}", after)

    def _send_other(self, state: State, by: int, server: Server) -> Iterator[Step]:
        """Broken: after an unknown outcome the row is sent once more, and a message has come meanwhile."""
        row = server.groups[0][0]
        held = server.runs[row.run]
        if self.setting.variant != "new content after an unknown outcome" or held is None or not held.heard:
            return
        other = row._replace(content=MESSAGE)
        changed = with_run(server, row.run, held._replace(sent=(MESSAGE, *held.sent[1:]), heard=False))
        changed = changed._replace(groups=((other,), *server.groups[1:]))
        again = with_server(state, by, changed)._replace(sent=state.sent | {self.setting.row(other)})
        yield Step(f"{NAMES[by]} does not know what became of it, and sends {_told([other])}", again, fault=True)

    # --- one validation for many --------------------------------------------------------------------------------------------

    def _validate(self, state: State, by: int, server: Server) -> Iterator[Step]:
        facts, fence = self.setting.facts, ("fence", server.fence)
        if server.validation is None:
            early = self.setting.variant == "a validation that began before the acknowledgement"
            cover = tuple(
                (held.key, len(held.sent) if early else held.acked) if held is not None and not held.void else ((0, 0), 0)
                for held in server.runs
            )
            if any(count for _, count in cover):
                for replicas, seen in read_first(state.replicas, state.sent, facts.of(fence), self.setting.mark(by)):
                    reading = with_server(state, by, server._replace(validation=Validation(cover, seen)))
                    words = f"{NAMES[by]} begins to read its fence, for what was acknowledged before"
                    yield Step(words, reading._replace(replicas=replicas))
            return
        seen, mark = server.validation.seen, self.setting.mark(by)
        ends = read_second(state.replicas, state.sent, facts.of(fence), mark, seen, repairs=self.setting.repairs)
        if self.setting.variant == "a validation at ONE":
            ends = iter([(without(state.replicas, mark), seen)])
        for replicas, both in ends:
            yield self._validated(state._replace(replicas=replicas), by, server, both)

    def _validated(self, state: State, by: int, server: Server, seen: int) -> Step:
        assert server.validation is not None, "it is at its end"
        cover, server = server.validation.cover, server._replace(validation=None)
        is_closed = self.setting.is_closed(seen, server.fence)
        said: list[str] = []
        for run, (key, count) in enumerate(cover):
            held = server.runs[run]
            if held is None or held.key != key or not min(count, held.acked):
                continue
            if self.setting.is_fenced(seen, run, held.head):
                server = with_run(server, run, None)
                said.append(f"run {run} is fenced")
                continue
            held = _committed(held, min(count, held.acked))
            server = with_run(server, run, held)
            state = claim(state, "acted", run, held.head.inc, held.history)
            said.append(f"{words(held.history)} of run {run} is committed")
        if is_closed:
            server = server._replace(runs=(None,) * self.setting.runs, groups=(), fence=server.fence + self.setting.servers)
            state = self.setting.opened(state, server.fence)
            said.append("closed; it opens another fence")
        return Step(
            f"{NAMES[by]} has read its fence: {', '.join(said) or 'nothing waits any more'}", with_server(state, by, server)
        )

    # --- the message --------------------------------------------------------------------------------------------------------

    def _message(self, state: State, by: int, run: int, held: Held) -> Iterator[Step]:
        if run or not self.setting.message or state.inbox != "unread":
            return
        known = is_heard(held.everything)
        if self.setting.variant == "the taker does not look for message ids":
            known = any(event.content == MESSAGE for event in held.everything if event.epoch == held.head.epoch)
        if not known and not held.heard:
            yield Step(f"{NAMES[by]} finds the message in the inbox", _set(state, by, run, held._replace(heard=True)))
        done = held.history
        if self.setting.variant == "consumed at the acknowledgement":
            done = _committed(held, held.acked).history
        if is_heard(done):
            yield Step(f"{NAMES[by]} marks the message as consumed", state._replace(inbox="consumed"))

    # --- changes of the head: end, release, turn ------------------------------------------------------------------------------

    def _finish(self, state: State, by: int, run: int, held: Held) -> Iterator[Step]:
        leaves_out = self.setting.variant == "a turn leaves out a row that is under way"
        is_quiet = held.acked == len(held.sent)
        leaves_under_way = self.setting.variant == "a change leaves out a row that is under way"
        if (is_quiet or leaves_under_way) and state.left.changes and len(held.everything) < self.setting.length:
            known = _committed(held, held.acked)
            kept = (*known.history, Event(held.head.epoch, CHANGED))
            yield from self._change(spend(state, "changes"), by, run, known, Change("change", by, run, held.head, kept))
        if is_quiet and len(held.everything) == self.setting.length:
            yield from self._end(state, by, run, held)
        if (is_quiet or self.setting.variant == "a release leaves out a row that is under way") and state.left.releases:
            yield from self._release(spend(state, "releases"), by, run, _committed(held, held.acked))
        if (is_quiet or leaves_out) and (state.left.turns or held.void):
            counted = _committed(held, held.acked)
            yield from self._turn(state if held.void else spend(state, "turns"), by, run, counted)

    def _change(self, state: State, by: int, run: int, held: Held, change: Change) -> Iterator[Step]:
        """A commit by condition: it keeps the run, and what was sent before stands with the head from then on."""
        goes_on = self.setting.variant == "go on after an unknown change"

        def applied(after: State) -> State:
            after = claim(after, "acted", run, held.head.inc, change.kept)
            return _set(after, by, run, Held(held.head._replace(kept=change.kept), change.kept))

        yield from ask(
            self.setting,
            _set(state, by, run, None),
            change,
            applied=applied,
            fenced=lambda after: after,
            unknown=lambda after: _set(after, by, run, held if goes_on else held._replace(asking=change)),
        )

    def _end(self, state: State, by: int, run: int, held: Held) -> Iterator[Step]:
        if self.setting.variant == "a plain end, and a terminate that does not read":
            if not held.acked:
                ended = claim(state, "shown", run, held.head.inc, held.history)
                yield Step(f"{NAMES[by]} ends run {run} by a plain row, which is committed", _set(ended, by, run, None))
            return
        change = Change("end", by, run, held.head, held.everything)
        drop = _set(state, by, run, None)
        yield from ask(
            self.setting,
            drop,
            change,
            applied=lambda after: claim(after, "acted", run, held.head.inc, held.everything),
            fenced=lambda after: after,
            unknown=lambda after: after,
        )

    def _release(self, state: State, by: int, run: int, held: Held) -> Iterator[Step]:
        change = Change("release", by, run, held.head, held.history)
        goes_on = self.setting.variant == "go on after an unknown release"
        yield from ask(
            self.setting,
            _set(state, by, run, None),
            change,
            applied=lambda after: after,
            fenced=lambda after: after,
            unknown=lambda after: _set(after, by, run, held) if goes_on else after,
        )

    def _turn(self, state: State, by: int, run: int, held: Held) -> Iterator[Step]:
        """A take-over from oneself. Its condition is the validation of what it counts."""
        change = Change("acquire", by, run, held.head, held.history)
        goes_on = self.setting.variant == "go on after an unknown turn"

        def applied(after: State) -> State:
            after = claim(after, "acted", run, held.head.inc, held.history)
            return _set(after, by, run, Held(after.heads[run], held.history))

        yield from ask(
            self.setting,
            _set(state, by, run, None),
            change,
            applied=applied,
            fenced=lambda after: after,
            unknown=lambda after: _set(after, by, run, held) if goes_on else after,
        )


def _committed(held: Held, count: int) -> Held:
    known = held.history + tuple(Event(held.head.epoch, content) for content in held.sent[:count])
    return held._replace(history=known, sent=held.sent[count:], acked=held.acked - count)


def _set(state: State, by: int, run: int, held: Held | None) -> State:
    return with_server(state, by, with_run(state.servers[by], run, held))


def _told(group: list[Row] | tuple[Row, ...]) -> str:
    message = ("", " with the message", "", " of the next life")
    return " and ".join(f"event {row.seq} of run {row.run}, epoch {row.epoch}{message[row.content]}" for row in group)
