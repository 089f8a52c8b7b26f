"""Who judges: it sees the journal, the ledger of the services and what clients were told, and knows the promises G1 to G7.

It looks at every write of the journal, every beginning of an effect, every acknowledgement, and at the end. The first
violation stops the world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Commit, Committed, Head, Run

from durable_saga.authoring.step_context import StepContext
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from tests.simulation import deployed, pauses, sagas
from tests.simulation.builds import RefusalsJudge
from tests.simulation.services import Account

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.world import World

MESSAGES = frozenset(
    {
        "signal_received",
        "cancel_requested",
        "compensation_decided",
        "recover_requested",
        "compensate_requested",
        "pause_requested",
        "resume_requested",
    }
)
CLOCKS_DIFFER_SECONDS_MAX = 15
UNCOUNTED_MAX = 3
"""An attempt that was due by the clock of one worker may not be due yet by that of the next: then it is not counted at once."""
MESSAGE_CALLS = frozenset({"signal", "cancel", "compensate", "recover", "pause", "resume"})


@dataclass(slots=True)
class Record:
    """The oracle's own copy of what it saw of one run."""

    head: Head | None = None
    events: list[bytes] = field(default_factory=list)
    steps: dict[str, h.StepScheduled] = field(default_factory=dict)
    undo_names: dict[str, str] = field(default_factory=dict)
    undo_due: set[str] = field(default_factory=set)
    kinds: dict[str, dict[str, Any]] = field(default_factory=dict)
    messages: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    put_us: dict[str, int] = field(default_factory=dict)
    put_by: dict[str, Any] = field(default_factory=dict)
    sent_us: dict[str, int] = field(default_factory=dict)
    acknowledged: dict[str, int] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)
    ended_us: int = 0
    purged: bool = False
    pivot: bool = False
    paused: bool = False

    def is_owned_by(self, worker: str, epoch: int) -> bool:
        return self.head is not None and (self.head.owner, self.head.epoch) == (worker, epoch)

    def of_call(self, kind: str, call: str) -> Any:
        """The last event of that kind for that call, or None."""
        return self.kinds.get(kind, {}).get(call)


class Oracle:
    """`violation` is the first broken promise in words, "" while there is none."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.violation = ""
        self._refusals = RefusalsJudge()
        self.records: dict[Run, Record] = {}
        self.may_begin_again: set[str] = set()
        """Sagas that a client starts once more when they are purged."""

    def broken(self, promise: str, words: str) -> None:
        if not self.violation:
            self.violation = f"{promise}: {words}"
            self._world.say("oracle", self.violation)

    def record(self, run: Run) -> Record:
        return self.records.setdefault(run, Record())

    # --- the journal -----------------------------------------------------------------------------------------------------

    def carried_out(self, process: Process, name: str, args: Any, outcome: Any) -> None:
        if name == "runs.create":
            self.look(args[0].run)
        elif name == "runs.advance":
            self.look(args[0])
        elif name == "runs.acquire":
            self._acquired(args[0], outcome)
        elif name == "runs.commit_many":
            self._committed(process, args[0][0], outcome[0])
        elif name == "runs.purge":
            self.purged(args[0])
        elif name == "inbox.put":
            self.record(args[0]).put_us.setdefault(args[1].message_id, self._world.loop.now_us)
            self.record(args[0]).put_by.setdefault(args[1].message_id, getattr(process, "service", None))

    def purged(self, run: Run) -> None:
        record = self.record(run)
        if record.head is None or record.purged or run in self._world.memory.tables.heads:
            return
        record.purged = True
        self._world.say("journal", f"run {run.run} of {run.saga} is purged")
        kept = (self._world.loop.now_us - record.ended_us) / 1_000_000
        if not record.ended_us or kept < self._world.plan.retention_seconds - CLOCKS_DIFFER_SECONDS_MAX:
            self.broken("G1", f"{run.saga} was purged {kept} s after its end, as {h.Status.Name(record.head.status)}")

    def _acquired(self, run: Run, outcome: Any) -> None:
        before = self.record(run).head
        self.look(run)
        if isinstance(outcome, Committed) and before is not None and outcome.head is not None:
            self._world.say("journal", f"{run.saga} is taken over, epoch {outcome.head.epoch}")
            if outcome.head.epoch <= before.epoch:
                self.broken("G2", f"{run.saga} was taken over and its epoch stayed {before.epoch}")

    def _committed(self, process: Process, commit: Commit, outcome: Any) -> None:
        record = self.record(commit.run)
        before = record.head
        self.look(commit.run)
        kind = type(outcome).__name__
        kinds = " ".join(str(event.WhichOneof("kind")) for event in commit.events)
        self._world.say("journal", f"{process.name} {commit.run.saga} epoch {commit.epoch} {commit.next_seq}: {kinds} {kind}")
        if not isinstance(outcome, Committed):
            return
        is_new, sent = record.head is not before, (commit.epoch, commit.next_seq)
        if is_new and before is not None and (before.epoch, before.next_seq) != sent:
            self.broken("G2", f"{commit.run.saga}: a commit of epoch {commit.epoch} was taken in epoch {before.epoch}")
        if not self.holds(commit.run, commit.events):
            self.broken("G1", f"{commit.run.saga}: events from {commit.next_seq} are said to be committed and are not")

    def holds(self, run: Run, events: Any) -> bool:
        """Whether these very events are committed."""
        kept = self.record(run).events
        return all(event.seq < len(kept) and kept[event.seq] == event.SerializeToString() for event in events)

    def shown(self, process: Process, run: Run, head: Head | None, events: Sequence[h.Event] = ()) -> None:
        """A server has read this, to go on with it or to show it."""
        record = self.record(run)
        there = record.head
        if there is None or run.saga in self.may_begin_again or self._world.plan.again is not None:
            return  # of which of its lives it is, nobody can say
        count = len(record.events)
        if head is not None and head.incarnation == there.incarnation and (head.next_seq > count or head.epoch > there.epoch):
            self.broken("G2", f"{run.saga}: {process.name} has read a head that is not committed: {head}")
        if events and not self.holds(run, events):
            self.broken("G2", f"{run.saga}: {process.name} has read events up to {events[-1].seq} that are not committed")

    def look(self, run: Run) -> None:
        """Compare the run with the copy, and take what is new."""
        record = self.record(run)
        if record.purged:
            if run not in self._world.memory.tables.heads:
                return
            if run.saga not in self.may_begin_again:
                self.broken("G6", f"{run.saga} was begun again after it was purged")
                return
            self.may_begin_again.discard(run.saga)
            record = self.records[run] = Record()
        record.head = head = self._world.memory.tables.heads.get(run)
        events = self._world.memory.tables.events.get(run, [])
        there = [event.SerializeToString() for event in events]
        known = len(record.events)
        if there[:known] != record.events:
            self.broken("G1", f"{run.saga}: a committed event was lost or changed")
        if head is not None and head.next_seq != len(events):
            self.broken("G1", f"{run.saga}: the head says {head.next_seq}, there are {len(events)} events")
        if len(there) > known and record.ended_us:
            self.broken("G2", f"{run.saga}: something was appended after its end")
        record.events = there
        for event in events[known:]:
            self._new(run, record, event)
        if head is not None and head.blocked and not _may_be_blocked(self._world, head):
            self.broken("L1", f"{run.saga} is blocked: {head.blocked.splitlines()[-1]}")
        if head is not None and head.status not in OPEN and not record.ended_us:
            record.ended_us = self._world.loop.now_us

    def _new(self, run: Run, record: Record, event: h.Event) -> None:
        kind = str(event.WhichOneof("kind"))
        body = getattr(event, kind)
        record.kinds.setdefault(kind, {})[getattr(body, "call", "")] = body
        if kind == "step_scheduled":
            record.steps[body.call] = body
            declared = sagas.STEPS[body.name].definition.compensation
            if declared is not None and body.compensation != declared.name:
                self.broken("G3", f"{run.saga}: the intent of {body.call} stands without its compensation")
            if body.compensation and not record.pivot:
                record.undo_names[body.call] = body.name
        elif kind == "compensation_registered":
            record.undo_names[body.call] = body.name
        elif kind == "compensation_scheduled":
            record.undo_due.add(body.call)
        elif kind == "saga_ended":
            record.unread.update(body.unread)
        elif kind in MESSAGES:
            if body.message_id in record.messages:
                self.broken("G6", f"{run.saga}: message {body.message_id} took effect twice")
            record.messages.add(body.message_id)
            self._in_order(run, body.message_id)
        if kind == "pivot_passed" or (kind == "step_completed" and record.steps[body.call].name == "turn"):
            record.pivot = True
            record.undo_names.clear()
        record.paused = pauses.is_paused_by(event, record.paused)

    def _in_order(self, run: Run, message_id: str) -> None:
        """What was acknowledged before this one was sent comes first. Not so where two servers, or two lives of one, took
        them: their clocks may differ."""
        if len(self._world.servers) > 1:
            return
        chain = chain_of(self.records, run)
        inboxes = _inboxes(self._world, run, len(chain))
        waiting = {one for inbox in inboxes for one, message in inbox.items() if message is not None}
        taken = {one for record in chain for one in record.messages}
        taken_by = {one: server for record in reversed(chain) for one, server in record.put_by.items()}
        sent_us, server = chain[0].sent_us.get(message_id, 0), taken_by.get(message_id)
        for one, at_us in chain[0].acknowledged.items():
            if at_us < sent_us and one not in taken and one in waiting and taken_by.get(one) is server:
                self.broken("G6", f"{run.saga}: message {message_id} overtook {one}, which was acknowledged before it was sent")

    # --- effects -----------------------------------------------------------------------------------------------------------

    def effect_begins(self, process: Process, context: StepContext, account: Account, free: bool) -> None:
        """`free`: a step without effects may run before its intent is committed."""
        run = Run("default", context.saga, int(context.idempotency_key.removeprefix(f"default/{context.saga}/").split("/")[0]))
        record, call = self.record(run), context.call
        undo = context.idempotency_key.endswith("/undo")
        step = record.steps.get(call)
        incarnation = record.head.incarnation if record.head is not None else b""
        if not self._world.services.attempted(run, incarnation, call, undo, account):
            self.broken("G4", f"{run.saga}: the key {context.idempotency_key} was used before, for something else")
        if record.paused and not free and step is not None and record.is_owned_by(process.name, context.fencing_token):
            self.broken("G3", f"{run.saga}: {'the undo of ' * undo}call {call} begins in a pause")
        if undo and call not in record.undo_due:
            self.broken("G3", f"{run.saga}: the compensation of {call} runs, and its intent is not committed")
        if not undo and step is None and not free:
            self.broken("G3", f"{run.saga}: step {call} runs, and its intent is not committed")
        if record.head is not None and context.fencing_token > record.head.epoch:
            self.broken("G4", f"{run.saga}: token {context.fencing_token} was never given out")
        if record.owners.setdefault(context.fencing_token, process.name) != process.name:
            self.broken("G4", f"{run.saga}: two workers have the fencing token {context.fencing_token}")
        if (often := account.died_in[context.attempt]) >= UNCOUNTED_MAX:
            self.broken(
                "L1", f"{run.saga}: attempt {context.attempt} of {call} ended {often} processes, and begins again uncounted"
            )
        if step is not None and not undo and step.at_most_once and account.begun[context.attempt] > 1:
            self.broken("G4", f"{run.saga}: attempt {context.attempt} of {call}, which is at_most_once, began twice")

    # --- what workers and clients are told -----------------------------------------------------------------------------------

    def sent_to_worker(self, server: Any, process: Any, item: w.ServerItem) -> None:
        if item.HasField("assign"):
            if hasattr(process, "worker") and (wrong := self._refusals.wrong(server, process, item)):
                self.broken("G7", wrong)
            run = Run(item.assign.key.namespace, item.assign.key.saga, item.assign.key.run)
            self._world.say("servers", f"{run.saga} goes to {process.name}, epoch {item.assign.epoch}")
            if self.record(run).owners.setdefault(item.assign.epoch, process.name) != process.name:
                self.broken("G2", f"{run.saga}: epoch {item.assign.epoch} was given to two workers")

    def arrived_at_worker(self, process: Any, item: w.ServerItem) -> None:
        reply = item.commit_reply
        owned = process.worker._runs.get((reply.key.namespace, reply.key.saga, reply.key.run)) if reply.request else None
        if owned is None or owned._in_flight is None or owned._in_flight.request != reply.request:
            return
        run = Run(reply.key.namespace, reply.key.saga, reply.key.run)
        head = self.record(run).head
        if reply.outcome == w.CommitReply.COMMITTED and not self.holds(run, owned._in_flight.events):
            self.broken("G1", f"{run.saga}: {process.name} was told that a commit is in the journal, and it is not")
        is_owner = head is not None and head.epoch == owned.epoch and head.status in OPEN and head.owner
        if reply.outcome == w.CommitReply.FENCED and is_owner:
            self.broken("G7", f"{run.saga}: {process.name} was told that it is fenced, and it is the owner ({reply.reason})")

    def asked(self, method: str, request: Any) -> None:
        """A client sends this, for the first time or again."""
        if method in MESSAGE_CALLS:
            record = self.record(Run(request.key.namespace, request.key.saga))
            record.sent_us.setdefault(request.message_id, self._world.loop.now_us)

    def answered(self, method: str, request: Any, reply: Any) -> None:
        """A client got this answer."""
        if method == "start":
            self._world.say("clients", f"start of {request.saga} is acknowledged")
            if self.record(Run(request.namespace, request.saga)).head is None:
                self.broken("G6", f"the start of {request.saga} was acknowledged, and it is not in the journal")
        elif method in MESSAGE_CALLS:
            self._message_acknowledged(method, Run(request.key.namespace, request.key.saga), request.message_id)
        elif method == "wait" and h.Status.Value(h.Status.Name(reply.status)) not in OPEN:
            run = Run(reply.key.namespace, reply.key.saga, reply.key.run)
            head = self.record(run).head
            self._world.say("clients", f"{run.saga} is said to be {h.Status.Name(reply.status)}")
            if head is None or head.status != reply.status:
                self.broken(
                    "G2", f"a client was told that {run.saga} is {h.Status.Name(reply.status)}; the journal says {head}"
                )

    def _message_acknowledged(self, method: str, run: Run, message_id: str) -> None:
        self._world.say("clients", f"{method} {message_id} to {run.saga} is acknowledged")
        self.record(run).acknowledged.setdefault(message_id, self._world.loop.now_us)
        inboxes = _inboxes(self._world, run, len(chain_of(self.records, run)))
        if not any(one.purged for one in chain_of(self.records, run)) and not any(message_id in one for one in inboxes):
            self.broken("G6", f"{method} {message_id} to {run.saga} was acknowledged, and it is not in the journal")


def _inboxes(world: World, run: Run, count: int) -> list[dict[str, h.InboxMessage | None]]:
    """Of so many runs of its saga."""
    return [world.memory.tables.inbox.get(run._replace(run=number + 1), {}) for number in range(count)]


def _may_be_blocked(world: World, head: Head) -> bool:
    """Some of its workers have other code."""
    return head.saga_type == deployed.NAME or bool(world.plan.new_build and "NonDeterminism" in head.blocked)


def chain_of(records: dict[Run, Record], run: Run) -> list[Record]:
    """Those of all runs of its saga, the newest last. What clients say and hear of it is in the first."""
    found = {one.run: record for one, record in records.items() if (one.namespace, one.saga) == (run.namespace, run.saga)}
    return [record for _, record in sorted(found.items())]
