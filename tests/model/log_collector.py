"""Who drops logs: a server, for its own or for one that is dead. A paused server may go on at any time.

It closes the fence that goes with the log, and waits. It looks at the head of each run. When none names the log, its rows go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.model.explore import Step
from tests.model.log_changes import NAMES
from tests.model.log_state import Setting, State, Task, spend
from tests.model.replicas import acknowledged

KEEPS_OPEN = "a log is dropped while its fence is open"
LOOKS_AT_NONE = "a log is dropped without a look at the heads"


@dataclass(frozen=True)
class Collector:
    setting: Setting

    def steps(self, state: State) -> Iterator[Step]:
        task = state.collector
        if task is None:
            if state.left.log_drops:
                for by, server in enumerate(state.servers):
                    yield self._begin(spend(state, "log_drops"), by, server.fence)
        elif task.at == "close":
            for replicas in acknowledged(state.replicas, self.setting.closure(task.run)):
                looking = state._replace(replicas=replicas, collector=task._replace(at="look", seen=0))
                yield Step(f"fence {task.run} is closed, as the collector hears", looking)
        else:
            yield self._look(state, task)

    def _begin(self, state: State, by: int, fence: int) -> Step:
        closes = self.setting.variant != KEEPS_OPEN
        if closes:
            state = state._replace(sent=state.sent | {self.setting.closure(fence)})
        task = Task("collect", fence, state.heads[0], "close" if closes else "look")
        return Step(f"the collector begins to drop the log of {NAMES[by]}", state._replace(collector=task))

    def _look(self, state: State, task: Task) -> Step:
        """At one head after the other; `seen` counts them."""
        done = state._replace(collector=None)
        if self.setting.variant != LOOKS_AT_NONE and task.seen < len(state.heads):
            head = state.heads[task.seen]
            if head.status == "open" and head.owner == task.run:
                return Step(f"the collector finds that run {task.seen} is in the log, and leaves it", done)
            further = state._replace(collector=task._replace(seen=task.seen + 1))
            return Step(f"the collector finds that run {task.seen} is not in the log", further)
        gone = 0
        for run, head in enumerate(state.heads):
            for inc in range(1, head.inc + 1):
                gone |= self.setting.dropped(run, inc, task.run)
        return Step(f"the log of fence {task.run} is dropped", done._replace(sent=done.sent | {gone}))
