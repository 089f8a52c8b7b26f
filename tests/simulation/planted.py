"""Bugs that real engines have had, to be planted into this one: the simulation must find each within its stated seeds.

Each is a few replaced methods for as long as its context lasts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from durable_saga_server.journal import Committed, Created, Hint, JournalError, Run, Unknown, memory, shard_of
from durable_saga_server.journal.rules import decide_acquire
from durable_saga_server.runs.chains import Chains
from durable_saga_server.runs.messages import Messages
from durable_saga_server.runs.retention import Retention
from durable_saga_server.runs.starting import Starting
from durable_saga_server.waking.wake import Waker
from durable_saga_server.workers.committer import Committer
from durable_saga_server.workers.refusals import Refusals

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.replay import interruptions
from durable_saga.replay.calls import Calls
from durable_saga.replay.commands import NOT_DECODED
from durable_saga.replay.rebuilding import Rebuilding
from durable_saga.replay.signals import Signals
from durable_saga.replay.unwind import Scope, Stack
from durable_saga.replay.unwinding import Unwinding
from durable_saga.replay.without_code import WithoutCode
from durable_saga.worker import active_run, attempts
from durable_saga.worker.active_run import ActiveRun
from durable_saga.worker.starts import Gate
from tests.laws.test_without_code import register_below, undo_twice

SEEDS_EASY = 40
SEEDS_HARD = 120


@dataclass(frozen=True, slots=True)
class Bug:
    """To be found within `seeds_max` seeds from `first` on, or in a few worlds of its plan if it has one (pinned.py)."""

    name: str
    seeds_max: int
    places: list[tuple[Any, str, Any]]
    first: int = 0

    @contextmanager
    def planted(self) -> Iterator[None]:
        before = [(owner, name, owner.__dict__[name]) for owner, name, _ in self.places]
        for owner, name, broken in self.places:
            setattr(owner, name, broken)
        try:
            yield
        finally:
            for owner, name, right in before:
                setattr(owner, name, right)


async def _go_on(self: Any, commit: Any, done: Callable[[Any], None]) -> None:
    done(Committed())


def _take_nothing(self: Any, effect: Any) -> None: ...


async def _create_unknown(self: Any, head: Any, event: h.Event, hint: Hint) -> Any:
    outcome = await self._journal.runs.create(head, event, hint)
    return Created(head) if isinstance(outcome, Unknown) else outcome


_message = Messages._message


async def _acknowledge_early(self: Any, key: h.RunKey, message: h.InboxMessage, *more: Any) -> Any:
    await self._heads.open_head(key)
    asyncio.get_running_loop().create_task(_quietly(_message(self, key, message, *more)))
    return memory_reply()


def memory_reply() -> Any:
    from durable_saga.pb import client_pb2 as c

    return c.MessageReply()


async def _quietly(work: Any) -> None:
    try:
        await work
    except Exception:
        pass  # the bug: nobody hears of it


_flush = ActiveRun.flush


def _start_before(self: Any) -> None:
    _flush(self)
    held, self._held_in_flight = self._held_in_flight, []
    self._starts.start_all(held)
    self._arm()


_replied = ActiveRun.replied


def _fenced_is_committed(self: Any, reply: w.CommitReply) -> None:
    if reply.outcome == w.CommitReply.FENCED:
        reply.outcome = w.CommitReply.COMMITTED
    _replied(self, reply)


_reconnected = ActiveRun.reconnected


def _new_content(self: Any, lost: Any) -> None:
    """What came up meanwhile joins the commit that is sent again."""
    if self._in_flight is not None and self._unsent:
        self._in_flight.events.extend(self._unsent)
        self._unsent = []
        self._held_in_flight, self._held = [*self._held_in_flight, *self._held], []
    _reconnected(self, lost)


async def _resolve_as_new(self: Any, commit: Any, done: Callable[[Any], None]) -> None:
    done(await self.commit(replace(commit, commit_id=bytes(reversed(commit.commit_id)))))


async def _drop_owned(self: Any, row: Any, shard: Any) -> int:
    run = Run(*row[1:])
    head = await self._journal.runs.head(run)
    if head is not None and not head.owner and await self.can_go_on(head, self._clock.now_ms()):
        self._dispatcher.wake(run, head.saga_type)
    return 0


async def _look_once(self: Any, row: Any, number: int) -> None:
    shard = self._shards.get(number)
    if shard is None or row not in shard.known:
        return
    shard.known.discard(row)
    shard.handled.add(row)
    try:
        await self._decide(row, shard)
    except JournalError:
        pass  # the bug: the watermark passes it


async def _no_hint(self: Any, run: Run, due_ms: int) -> None:
    """In memory only: it is gone with this server."""
    if (shard := self._shards.get(shard_of(run))) is not None:
        self._push(shard, (due_ms, run.namespace, run.saga, run.run))


def _lease(head: Any, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Any:
    outcome = decide_acquire(head, incarnation, epoch, owner, now_ms)
    if isinstance(outcome, Committed) and outcome.head is not None:
        return Committed(replace(outcome.head, epoch=epoch))
    return outcome


_register = Stack.register


def _register_forgetful(self: Any, entry: Any, scope: Any) -> None:
    """Each one that comes pushes out the steps' compensations before it."""
    for item in [one for one in scope.items if one.name == "act" and one.state == "registered"]:
        scope.items.remove(item)
        del self.entries[item.call]
    _register(self, entry, scope)


def _due_soon(self: Any, head: Any) -> int:
    return int(head.ended_ms) + 1_000


async def _purged_unknown(self: Any, head: Any) -> None:
    await self._journal.runs.purge(head.run, head.incarnation, head.ended_ms)


async def _keep_first(self: Any, first: Run) -> None: ...


async def _carry_nothing(self: Any, head: Any, end: h.Continuation, following: Run) -> list[h.InboxMessage]:
    return []


_called = Calls.committed


def _not_interrupted(self: Any, body: h.StepScheduled) -> None:
    _called(self, body)
    if (pending := self.pending.get(body.call)) is not None:
        pending.from_history = False


_fact = ActiveRun.fact


def _lose_outcome(self: Any, event: h.Event, result: Any = NOT_DECODED) -> Any:
    """As where an exception of the user's breaks what was to record it."""
    kind = event.step_failed.failure.type
    if event.HasField("step_failed") and not kind.startswith(("builtins.", "durable_saga.", "asyncio.")):
        return True
    return _fact(self, event, result)


def _settle_nothing(self: Any, end: Callable[[], None], *, result: bytes = b"") -> None:
    end()


_start_entries = Scope.start


def _settle_all(self: Any, order: Any = (), wanted: Any = None) -> None:
    """What stands is undone with what is in doubt."""
    _start_entries(self, order)


def _at_once(interruptions: int, random: float = 0.5) -> int:
    return 0


_handles_nothing = property(lambda self: False)


def _nobody_refused(self: Any, run: Run) -> frozenset[str]:
    return frozenset()


def _tell_no_interruptions(*_: Any) -> None: ...


def _key_without_incarnation(key: h.RunKey, incarnation: bytes) -> str:
    return f"{key.namespace}/{key.saga}/{key.run}/"


BUGS = [
    Bug("going on at an unknown outcome", SEEDS_EASY, [(Committer, "_resolve", _go_on)]),
    Bug("acknowledging a start whose outcome is unknown", SEEDS_EASY, [(Starting, "_create", _create_unknown)]),
    Bug("acknowledging a signal before it is durable", SEEDS_EASY, [(Messages, "_message", _acknowledge_early)]),
    Bug("starting the effect before the commit is acknowledged", SEEDS_EASY, [(ActiveRun, "flush", _start_before)]),
    Bug("treating fenced as committed", SEEDS_EASY, [(ActiveRun, "replied", _fenced_is_committed)]),
    Bug("new content under the same commit after unknown", SEEDS_HARD, [(ActiveRun, "reconnected", _new_content)]),
    Bug("sending again under a new commit id", SEEDS_EASY, [(Committer, "_resolve", _resolve_as_new)]),
    Bug("dropping a young hint, whose truth is on its way", SEEDS_HARD, [(Waker, "_decide", _drop_owned)]),
    Bug("advancing the watermark past a hint not yet handled", SEEDS_HARD, [(Waker, "_look", _look_once)]),
    Bug("a hint that only the server's memory has", SEEDS_HARD, [(Waker, "hint", _no_hint)]),
    Bug("taking a lease for safety: no new epoch", SEEDS_EASY, [(memory, "decide_acquire", _lease)]),
    Bug("losing the registration of a compensation", SEEDS_EASY, [(Stack, "register", _register_forgetful)]),
    Bug("repeating an at_most_once step after a take-over", SEEDS_EASY, [(Calls, "committed", _not_interrupted)]),
    Bug("purging without a look at the retention", SEEDS_EASY, [(Retention, "_due_ms", _due_soon)]),
    Bug("taking a purge of unknown outcome for done", SEEDS_EASY, [(Retention, "_purge", _purged_unknown)]),
    Bug("leaving the first run of a chain when the last is gone", SEEDS_EASY, [(Retention, "_end_chain", _keep_first)]),
    Bug("leaving to a run what the next one should read", SEEDS_EASY, [(Chains, "_carry", _carry_nothing)]),
    Bug("not committing the outcome of an attempt", SEEDS_EASY, [(ActiveRun, "fact", _lose_outcome)]),
    Bug("ending while a loser is in doubt", SEEDS_EASY, [(Unwinding, "settle", _settle_nothing)]),
    Bug("settling what stands too", SEEDS_EASY, [(Scope, "start", _settle_all)]),
    Bug("cutting a handler off at the return", SEEDS_HARD, [(Signals, "is_handling", _handles_nothing)]),
    Bug("not counting an interruption", SEEDS_HARD, [(active_run, "tell_interruptions", _tell_no_interruptions)]),
    Bug("beginning again at once what was cut off", SEEDS_HARD, [(interruptions, "back_off_ms", _at_once)]),
    Bug("offered again to the build that refused", SEEDS_EASY, [(Refusals, "of", _nobody_refused)]),
    Bug("a key without the incarnation", SEEDS_EASY, [(attempts, "key_prefix", _key_without_incarnation)]),
    Bug("taking no notice of a pause", SEEDS_EASY, [(Gate, "take", _take_nothing)]),
]

BUGS_OF_DEPLOYS = [
    Bug("undone twice", 10, [(WithoutCode, "fold", undo_twice)]),
    Bug("undone in another order", 10, [(Rebuilding, "_register", register_below)]),
]
"""Of the unwind from the journal: looked for in worlds with deploys."""
