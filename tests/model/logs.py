"""The log protocol as a machine: a log and a fence for each server, on three replicas, and a head for each run.

What is modelled and left out: docs/commit-model.md. A run is `length` events in a log and an end that comes with the head.
A server that is slow, or paused, is one that takes no step for a while. A fence may be dropped at any time, with every
revocation in it: that it is gone is what fences then.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from tests.model.explore import Step
from tests.model.log_changes import NAMES, late_ones, purges
from tests.model.log_collector import Collector
from tests.model.log_forgotten import Forgotten
from tests.model.log_state import (
    MESSAGE,
    NOBODY,
    Budget,
    Head,
    Held,
    Server,
    Setting,
    State,
    spend,
    with_server,
    words,
)
from tests.model.log_takers import Client, Takers
from tests.model.log_work import Work
from tests.model.replicas import COUNT, without

UNCOUNTED = ("what is adopted is not written", "acquire first, write what is adopted by a later plain write")


class Logs:
    """`variant` is one of VARIANTS. `bulk`: a taker closes the fence of a server, for all its runs. Server A owns all runs."""

    def __init__(
        self,
        variant: str = "",
        *,
        left: Budget,
        runs: int = 1,
        servers: int = 2,
        length: int = 2,
        pipe: int = 1,
        bulk: bool = False,
        message: bool = False,
    ) -> None:
        self.setting = Setting(
            variant, runs=runs, servers=servers, length=length, pipe=pipe, bulk=bulk, message=message, drops=bool(left.drops)
        )
        self.variant = variant
        self._forgotten = Forgotten(self.setting)
        self._work, self._takers, self._client = Work(self.setting), Takers(self.setting), Client(self.setting)
        self._collector = Collector(self.setting)
        nothing: tuple[None, ...] = (None,) * runs
        owns = Server(0, tuple(Held(Head(), ()) for _ in range(runs)))
        initial = State(
            replicas=(0, 0, 0),
            sent=frozenset(),
            heads=(Head(),) * runs,
            late=frozenset(),
            servers=(owns, *(Server(fence, nothing) for fence in range(1, servers))),
            acted=((),) * runs,
            shown=((),) * runs,
            left=left,
        )
        for fence in range(servers):
            initial = self.setting.opened(initial, fence)
        self.initial = initial

    def is_good_end(self, state: State) -> bool:
        return not state.left.purges and all(head.status == "ended" for head in state.heads)

    def broken(self, state: State) -> str:
        if state.wrong:
            return state.wrong
        for run, head in enumerate(state.heads):
            for history, promise, what in ((state.acted[run], "G3", "was acted on"), (state.shown[run], "G2", "was shown")):
                for seq, event in enumerate(history if self.variant not in UNCOUNTED else ()):
                    fixed = head.kept[seq] if seq < len(head.kept) else None
                    is_open = fixed is None and head.status == "open" and head.owner != NOBODY and event.epoch == head.epoch
                    if event != fixed and not is_open:
                        return f"{promise}: {words(history)} of run {run} {what}, and the history is {words(head.kept)}"
            if sum(event.content == MESSAGE for event in (*head.kept, *state.acted[run][len(head.kept) :])) > 1:
                return f"G6: the message is in the history of run {run} twice"
        ended = state.heads[0].status == "ended" and not any(event.content == MESSAGE for event in state.heads[0].kept)
        if ended and state.inbox == "consumed":
            return "G6: an acknowledged message is consumed, and the history of the run that has ended does not hold it"
        return ""

    def steps(self, state: State) -> Iterator[Step]:
        for step in chain(self._faults(state), self._at_work(state)):
            after = step.state
            assert isinstance(after, State), "a machine's own"
            yield step._replace(state=after if after.wrong else self._forgotten.without(after))

    def _at_work(self, state: State) -> Iterator[Step]:
        for by, server in enumerate(state.servers):
            if server.is_up:
                yield from self._work.steps(state, by)
                yield from self._takers.steps(state, by)
        yield from self._client.steps(state)
        yield from self._collector.steps(state)
        yield from late_ones(self.setting, state)
        yield from purges(state)
        if self.setting.message and not state.inbox and state.heads[0].status == "open":
            yield Step("a message is put into the inbox and acknowledged", state._replace(inbox="unread"))

    def _faults(self, state: State) -> Iterator[Step]:
        for by, server in enumerate(state.servers):
            if server.is_up and state.left.crashes:
                marks = self.setting.mark(by) | self.setting.mark(f"taker {by}")
                crashed = with_server(
                    spend(state, "crashes"), by, Server(server.fence, (None,) * self.setting.runs, is_up=False)
                )
                crashed = crashed._replace(replicas=without(state.replicas, marks))
                yield Step(f"{NAMES[by]} crashes", crashed, fault=True)
        if state.left.drops and self.variant.startswith("revocations expire"):
            yield Step("everybody is paused, and a day passes", self._next_day(spend(state, "drops")), fault=True)
        elif state.left.drops:
            for by, server in enumerate(state.servers):
                for dropped in self._drop(spend(state, "drops"), server.fence):
                    yield Step(f"the fence of {NAMES[by]} is dropped as a whole", dropped, fault=True)

    def _drop(self, state: State, fence: int) -> Iterator[State]:
        """`open` is deleted on all replicas, and only then the revocations; tombstones outlive the reads under way.

        Broken: on two replicas, and one day the tombstones are gone, when no read of before is under way any more."""
        facts, closed = self.setting.facts.of(("fence", fence)), self.setting.closure(fence)
        state = state._replace(sent=frozenset(write & ~facts for write in state.sent) - {0})
        if self.variant != "a fence is dropped at QUORUM":
            yield state._replace(replicas=tuple((one & ~facts) | closed for one in state.replicas))
            return
        for by, server in enumerate(state.servers):
            state = with_server(state, by, server._replace(validation=None))
        for kept in range(COUNT):
            replicas = tuple(one if at == kept else one & ~facts for at, one in enumerate(state.replicas))
            yield state._replace(replicas=replicas, client=None)

    def _next_day(self, state: State) -> State:
        """Broken: revocations are gone, also those under way; whoever waits for one begins again."""
        gone = sum(bit for part, rest, bit in self.setting.facts.all() if part[0] == "fence" and rest != ("open",))
        voids = self.variant != "revocations expire"
        for by, server in enumerate(state.servers):
            if voids:
                gone |= self.setting.mark(by)
                runs = tuple(None if held is None else held._replace(void=True) for held in server.runs)
                server = server._replace(validation=None, runs=runs)
            task = server.task if server.task is None or server.task.at != "revoke" else None
            state = with_server(state, by, server._replace(task=task))
        if voids:
            gone |= self.setting.mark("client")
            state = state._replace(client=None)
        left = frozenset(write & ~gone for write in state.sent) - {0}
        return state._replace(replicas=without(state.replicas, gone), sent=left)
