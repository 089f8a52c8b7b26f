"""What can't matter any more is forgotten, so that states that differ by it alone are one.

Each rule leaves every promise as it is: what it drops is looked at by nobody from here on. A fact that no reader, owner or
head asks for; a group, a validation or a late change that nothing can follow from; a taker whose condition can't hold again.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.model.log_changes import fits
from tests.model.log_state import Server, Setting, State
from tests.model.replicas import in_order, under_way, without

KEEPS_ROWS = (
    "what is adopted is not written",
    "acquire first, write what is adopted by a later plain write",
    "no incarnation in the key of a row",
)
KEEPS_CHANGES = "no incarnation in the condition"


@dataclass(frozen=True)
class Forgotten:
    setting: Setting

    def without(self, state: State) -> State:
        servers = state.servers
        if self.setting.variant != KEEPS_CHANGES:
            late = frozenset(change for change in state.late if fits(self.setting, state.heads[change.run], change.head))
            servers = tuple(self._server(state, by, server) for by, server in enumerate(servers))
            state = state._replace(late=late, servers=servers)
        gone = self._unmarked(state) | self._unasked(state)
        replicas = in_order(without(state.replicas, gone))
        sent = frozenset(write & ~gone for write in state.sent) - {0}
        return state._replace(replicas=replicas, sent=under_way(sent, replicas))

    def _server(self, state: State, by: int, server: Server) -> Server:
        held = {(run, one.key) for run, one in enumerate(server.runs) if one is not None}
        groups = tuple(group for group in server.groups if any((row.run, (row.inc, row.epoch)) in held for row in group))
        if len(groups) != len(server.groups):
            server = server._replace(groups=groups)
        if server.validation is not None:
            covered = ((run, key) for run, (key, count) in enumerate(server.validation.cover) if count)
            if not any(one in held for one in covered):
                server = server._replace(validation=None)
        task = server.task
        if task is not None:
            now = state.heads[task.run]
            if now.inc == task.head.inc and now.status != "purged" and not state.left.purges:
                server = server if fits(self.setting, now, task.head) else server._replace(task=None)
        return server

    def _unmarked(self, state: State) -> int:
        """The marks of reads that are not under way any more."""
        gone = 0 if state.client is not None else self.setting.mark("client")
        for by, server in enumerate(state.servers):
            gone |= 0 if server.validation is not None else self.setting.mark(by)
            gone |= 0 if server.task is not None else self.setting.mark(f"taker {by}")
        return gone

    def _unasked(self, state: State) -> int:
        asked = {(run, held.head) for server in state.servers for run, held in enumerate(server.runs) if held is not None}
        tasks = [server.task for server in state.servers] + [state.client]
        asked |= {(task.run, task.head) for task in tasks if task is not None}
        looked_at = state.left.looks or state.left.purges
        asked |= {(run, head) for run, head in enumerate(state.heads) if head.status == "open" or looked_at}
        return self.setting.unasked(asked, keeps_rows=self.setting.variant in KEEPS_ROWS)
