"""One run while this worker owns it: its core, its one commit in flight, its attempts and its timer.

    facts -> core -> events + effects -> commit -> (acknowledged) -> effects start -> facts …

What comes up while a commit is in flight goes into the next one. An unknown or refused commit is sent again, the identical
bytes. A fenced one ends it: nothing further is done for this run here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from durable_saga.errors import DurableSagaError, NonDeterminism
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.pausing import paused_after
from durable_saga.pb.payloads import missing_in, strip_large
from durable_saga.replay import Core, Effect, Pause, RunStep
from durable_saga.replay.aside import Decode
from durable_saga.replay.commands import NOT_DECODED
from durable_saga.replay.interruptions import tell_interruptions
from durable_saga.replay.run import to_decode
from durable_saga.transport.fetching import needed
from durable_saga.worker.arrivals import Arrivals
from durable_saga.worker.attempts import Attempts
from durable_saga.worker.commit_size import cut
from durable_saga.worker.doing import DoingNow, waits_for
from durable_saga.worker.inbox import Inbox
from durable_saga.worker.links import Stream
from durable_saga.worker.recording import Recording
from durable_saga.worker.starts import Alarms, Gate, Starts, until
from durable_saga.worker.surroundings import Surroundings
from durable_saga.worker.watched_core import WatchedCore, swallowed
from durable_saga.worker.way_out import STOPS, WayOut

PARK_AFTER_IDLE_SECONDS = 1.0
PARK_BEYOND_MS = 5_000
ANSWER_SECONDS_MAX = 15.0


class ActiveRun:
    """Made from an Assign. `worker` sends its items and forgets it when it is over."""

    def __init__(self, worker: Surroundings, assign: w.Assign, core: Core) -> None:
        self._worker, self._loop = worker, asyncio.get_running_loop()
        self.key, self.incarnation, self.epoch = core.key, assign.incarnation, assign.epoch
        self._core, self._watched = core, WatchedCore(core, worker.activation_seconds_max)
        self.attempts, self.record = _attempts_of(self, worker, assign, lambda: self._core.past_pivot)
        self._next_seq, self._doing = len(assign.events), DoingNow(assign.events)
        self._unsent, self._unsent_bytes = list[h.Event](), 0
        self._held, self._held_in_flight = list[Effect](), list[Effect]()
        self._urgent = self._replay_again = self._over = False
        self._wrong: BaseException | None = None  # it is blocked, once what is known is committed
        self._begun_with: w.Assign | None = None  # while its inbox is read for the first time
        self._way_out = WayOut(core)
        self._gate = Gate(lambda: self._core, worker.is_type_paused)
        self._starts, self._inbox = Starts(self.attempts, worker.clock, self._gate), Inbox(assign.events)
        self._arrivals = Arrivals(self.key, worker, self._block, self._arm)
        self.told: Stream | None = None
        self._in_flight: w.Commit | None = None
        self._item: w.WorkerItem | None = None  # what it is sent in
        self.via: Stream | None = None
        self._sent, self._status = 0.0, h.RUNNING  # of the run, as far as its code went well
        self._alarms = Alarms(self._loop)

    def begin(self, assign: w.Assign) -> None:
        """Fetch the large values that it needs; replay the history, take what waits in the inbox, go on."""
        self._arrivals.take(assign, needed(assign), partial(_begin, self))

    # --- what happens to it ------------------------------------------------------------------------------------------

    def deliver(self, message: h.InboxMessage) -> None:
        self._arrivals.take(message, missing_in(message), self._deliver)

    def _deliver(self, message: h.InboxMessage) -> Generator[Decode, tuple[Any] | None]:
        try:
            event = self._inbox.take(message)
        except DurableSagaError as error:
            self._block(error)
            return
        sent = None if event is None or (decode := to_decode(self._core, event)) is None else (yield decode)
        if event is not None and not self.fact(event, sent[0] if sent else NOT_DECODED) and not self._core.leaves_messages:
            self._inbox.spend(message.message_id)

    def fact(self, event: h.Event, result: Any = NOT_DECODED) -> bool:
        """Something happened (see Core.feed()): do what follows. False: it is of no interest any more."""
        if self._over or self._wrong is not None:
            return True
        try:
            wanted = self._watched.feed(event, self._worker.clock.now_ms(), result)
            self._take()
        except BaseException as error:  # whatever it is, it is this saga's
            self._block(error, event)
            return True
        self._arm()
        return wanted

    def replied(self, reply: w.CommitReply) -> None:
        """The outcome of the commit in flight."""
        if self._over or self._in_flight is None or reply.request != self._in_flight.request:
            return
        if reply.outcome == w.CommitReply.COMMITTED:
            self._committed()
        elif reply.outcome == w.CommitReply.FENCED:
            self.record.lost(reply.reason)
            self.drop()
        else:
            self.record.say(logging.INFO, "sends a commit again: %s", reply.reason)
            self._loop.call_later(max(reply.retry_after_ms, 50) / 1000, self._send, self._in_flight)

    def reconnected(self, lost: Stream | None) -> None:
        """What was in flight on this stream may or may not have arrived; None: there was no stream when it came up."""
        if self._in_flight is not None and self.via is lost:
            self._send(self._in_flight)

    def resend_overdue(self) -> None:
        """An answer that does not come is an unknown outcome too."""
        if self._in_flight is not None and self._loop.time() > self._sent + ANSWER_SECONDS_MAX:
            self._send(self._in_flight)

    def drop(self) -> None:
        """Forget the run; act on nothing any more."""
        if self._over:
            return
        self._over = True
        self._alarms.clear()
        self._arrivals.drop()
        self.attempts.cancel_all()
        if self._watched.discard():
            self.record.say(logging.WARNING, "has code that can't be stopped and stays in memory as it is")
        self._worker.forget(self)

    # --- committing ----------------------------------------------------------------------------------------------------

    def _take(self) -> None:
        output = self._watched.take()
        self._status = self.record.status(output.status, self._status, output.events)
        self._doing.add(output.events)
        self._unsent += output.events
        self._unsent_bytes += output.size
        self._urgent |= output.must_commit
        self._replay_again |= output.replay_again
        for effect in output.effects:
            if isinstance(effect, Pause):
                self._starts.pause(effect)
            elif isinstance(effect, RunStep) and not effect.definition.effect and not effect.interruptions:
                self._starts.start(effect)
            else:
                self._held.append(effect)
        if (self._urgent or self._held) and self._in_flight is None:
            self._worker.flush_soon(self)

    def flush(self) -> None:
        """Send what has come up, once per turn of the loop."""
        if self._over or self._in_flight is not None:
            return
        if not self._unsent and self._wrong is None:
            held, self._held, self._urgent = self._held, [], False
            self._starts.start_all(held)
            self._arm()
            return
        events, rest = cut(self._unsent, self._unsent_bytes)
        self._item = _commit(self, self._worker.next_request(), self._worker.chance.new(), events, more=bool(rest))
        if self._item is None:
            return
        self._in_flight = self._item.commit
        self._unsent, self._urgent = rest, bool(rest)
        self._unsent_bytes = sum(event.ByteSize() for event in rest) if rest else 0
        if not rest:  # effects wait for all that came up before them
            self._held, self._held_in_flight = [], self._held
        self._send(self._in_flight)

    def _send(self, commit: w.Commit) -> None:
        """Unless it is settled meanwhile."""
        if not self._over and commit is self._in_flight and self._item is not None:
            self._sent = self._loop.time()
            self.via = self._worker.send(self.key, self._item)

    def _committed(self) -> None:
        assert self._in_flight is not None, "a reply answers a commit"
        self._next_seq = self._in_flight.events[-1].seq + 1
        self._inbox.committed(self._in_flight.consumed)
        self._worker.blocked.goes_on(self.key)
        effects, self._held_in_flight, self._in_flight, self._item = self._held_in_flight, [], None, None
        if self._wrong is not None:
            self._go_on_blocking()
        elif self._core.ended and not self._unsent:
            self.record.ended(self._status, self._worker.clock.now_ms())
            self.drop()
        elif self._replay_again and not self._unsent:
            self._send_release(wake_at_ms=self._worker.clock.now_ms())
        else:
            self._starts.start_all(effects)
            self._arm()
            if self._urgent or self._held:
                self._worker.flush_soon(self)

    # --- time ------------------------------------------------------------------------------------------------------------

    def _wake_at_ms(self) -> int:
        """The next thing to do without a message, 0: none."""
        times = self._core.next_timer_ms, self._core.deadline_ms, self._starts.next_ms
        return min(filter(None, times)) if any(times) else 0

    def _arm(self) -> None:
        """Set the timer for what comes next, and see whether the run is only waiting."""
        if self._over or self._wrong is not None:
            return
        self._alarms.clear()
        in_ms, wake_at_ms = 0, self._wake_at_ms()
        if wake_at_ms:
            in_ms = max(wake_at_ms - self._worker.clock.now_ms(), 0)
            self._alarms.set(in_ms / 1000, self._due)
        if self._only_waits() and (not wake_at_ms or in_ms > PARK_BEYOND_MS):
            self._alarms.set(0 if self._worker.is_crowded else PARK_AFTER_IDLE_SECONDS, self._release)

    def _due(self) -> None:
        now_ms = self._worker.clock.now_ms()
        self._starts.due(now_ms)
        if (due_ms := self._core.next_timer_ms) and due_ms <= now_ms:
            self.fact(h.Event(timer_fired=h.TimerFired(due_ms=due_ms)))
        elif self._core.deadline_ms and self._core.deadline_ms <= now_ms:
            self._core.standing.deadline_ms = 0
            self.fact(h.Event(saga_timed_out=h.SagaTimedOut()))
        self._arm()

    def _only_waits(self) -> bool:
        at_work = self._in_flight or self._held or self._held_in_flight or self._urgent or len(self.attempts)
        return not (at_work or len(self._arrivals) or self._starts.is_bound)

    def _release(self) -> None:
        """Park: it holds no memory until its timer or a message."""
        if not self._over and self._wrong is None and self._only_waits():
            self.flush() if self._unsent else self._park()  # what is not sent: it parks after the reply

    def _park(self, *, soon: bool = False) -> None:
        now_ms = self._worker.clock.now_ms()
        self._send_release(wake_at_ms=now_ms if self._starts.waits_for_type else self._wake_at_ms() or now_ms * soon)

    def look_at_gate(self) -> None:
        self._starts.look_at_gate()
        self._arm()

    def _block(self, error: BaseException, fact: h.Event | None = None) -> None:
        """Nobody can go on with it as things are: give it back with the reason; it is tried again, ever more slowly. The
        outcome of an attempt that led to this is committed first: it is not made again."""
        if self._over or self._wrong is not None:
            return
        begun, is_new = self._begun_with, self._in_flight is None
        if begun and is_new and self._next_seq == len(begun.events) and (why := self._way_out.why(self._core, error)):
            _begin_anew(self, begun, why)
            return
        self._alarms.clear()
        self._wrong, self._held = error, []
        self._way_out.blocked(fact)
        if fact is not None and str(fact.WhichOneof("kind")).startswith(("step_", "compensation_")):
            self._unsent += [event for event in self._core.take().events if event.seq <= fact.seq]
        if self._in_flight is None:
            self._go_on_blocking()

    def _go_on_blocking(self) -> None:
        if self._unsent:
            self.flush()
        elif self._wrong is not None:
            reason, retry_ms = self._worker.blocked.again(self.key, self._wrong, self._core.definition.name)
            at_ms = self._way_out.again_at_ms(self._core, now_ms := self._worker.clock.now_ms())
            retry_ms = min(retry_ms, at_ms - now_ms) if at_ms else retry_ms  # earlier servers know this alone
            self._send_release(wake_at_ms=at_ms, blocked=reason, retry_after_ms=retry_ms)

    def _send_release(self, *, wake_at_ms: int = 0, blocked: str = "", retry_after_ms: int = 0) -> None:
        doing = None if blocked else self._doing.now(waits_for(self._core, self._worker.clock.now_ms()))
        if not blocked and not self._over and (wrong := self._watched.discard()):
            self._block(swallowed(wrong))
            return
        self.via = self._worker.send(self.key, _release(self, wake_at_ms, blocked, retry_after_ms, doing))
        self.drop()

    def give_back(self) -> bool:
        """For a drain: True once the run is no longer here. An attempt under way is let finish."""
        if not self._over and self._only_waits():
            self.flush() if self._unsent else self._park(soon=True)
        return self._over


def _attempts_of(
    run: ActiveRun, worker: Surroundings, assign: w.Assign, forward_only: Callable[[], bool]
) -> tuple[Attempts, Recording]:
    attempts = Attempts(worker.executor, run.key, run.incarnation, run.epoch, run.fact, forward_only)
    record = attempts.record
    first = assign.events[0]
    record.saga_type, record.started_ms = run._core.definition.name, first.time_ms
    record.carried = dict(first.saga_started.carried)
    attempts.version_at = lambda call: run._core.versions.at(call)
    return attempts, record


def _release(
    run: ActiveRun, wake_at_ms: int, blocked: str, retry_after_ms: int, doing: h.Doing | None
) -> w.WorkerItem:  # fmt: skip
    release = w.Release(
        key=run.key, incarnation=run.incarnation, epoch=run.epoch, wake_at_ms=wake_at_ms, blocked=blocked,
        wake_in_ms=until(wake_at_ms, run._worker.clock.now_ms()), retry_after_ms=retry_after_ms, next_seq=run._next_seq,
        status=h.Status.Name(run._status), saga_type=run._core.definition.name, consumed=run._inbox.spent,
        doing=doing,
    )  # fmt: skip
    return w.WorkerItem(release=release)


def _commit(
    run: ActiveRun, request: int, commit_id: bytes, events: list[h.Event], *, more: bool
) -> w.WorkerItem | None:  # fmt: skip
    """Filled in place: a message that is given to another one is copied. `more`: events that go into a later one. None: it
    can't be sealed, so nothing of it is committed, and the run is blocked."""
    item = w.WorkerItem()
    commit = item.commit
    commit.request, commit.commit_id = request, commit_id
    commit.status = h.RUNNING if more and run._core.ended else run._status
    commit.key.CopyFrom(run.key)
    commit.incarnation, commit.epoch = run.incarnation, run.epoch
    if events[0].seq == 1:
        events[0].build = run._worker.build
    commit.events.extend(events)
    commit.consumed.extend(run._inbox.consumed(events))
    core = run._core
    if (paused := paused_after(events, ends_paused=core.ended and core.standing.is_paused and not more)) is not None:
        commit.paused = paused
    if (doing := run._doing.news(commit.status)) is not None:
        commit.doing.CopyFrom(doing)
    strip_large(commit)
    if run._worker.sealing is not None:
        try:
            run._worker.sealing.seal_events(commit.events, run.key, run._arrivals.kept)
        except Exception as error:  # what a codec raises too
            run._unsent, run._held, run._wrong = [], [], error
            run._alarms.clear()
            run._go_on_blocking()
            return None
    return item


def _begin(run: ActiveRun, assign: w.Assign) -> Generator[Decode, tuple[Any] | None]:
    try:
        yield from run._watched.replaying(assign.events)
        run.attempts.carried = assign.events[0].saga_started.carried_values.data
        run._way_out.check(run._core, assign.inbox, run._worker.clock.now_ms())
        tell_interruptions(run._core, run._worker.clock.now_ms(), assign.interrupted, run._worker.chance.random)
        run._take()
    except BaseException as error:  # whatever it is, it is this saga's
        _could_not_begin(run, assign, error)
        return
    reason = run._core.forward.cannot_start  # nothing of it was done: it can be ended, the rest is for the right code
    core, run._begun_with = run._core, assign
    for message in assign.inbox:
        if reason is None or message.WhichOneof("kind") in STOPS:
            yield from run._deliver(message)
        if run._core is not core:
            return  # its code could not even be stopped: it was begun anew, without it
    run._begun_with = None
    if reason is not None:
        run._due()
        if not run._core.ended:
            run._block(reason)
    run._arm()


def _begin_anew(run: ActiveRun, assign: w.Assign, why: str = "") -> None:
    """Of which nothing is committed since. `why`: without its code."""
    before, run._begun_with = run._core, None
    run._watched.discard()
    run.attempts.cancel_all()
    is_limited, known = before.has_step_timeout, run._worker.catalogue
    run._core = Core(before.definition, run.key, has_step_timeout=is_limited, definitions=known, why=why, carry=before.carry)
    run._watched = WatchedCore(run._core, run._worker.activation_seconds_max)
    run._starts, run._inbox = Starts(run.attempts, run._worker.clock, run._gate), Inbox(assign.events)
    run._doing = DoingNow(assign.events)
    run._unsent, run._unsent_bytes, run._held, run._urgent, run._replay_again = [], 0, [], False, False
    run._arrivals.take(assign, missing_in(assign), partial(_begin, run))


def _could_not_begin(run: ActiveRun, assign: w.Assign, error: BaseException) -> None:
    """Fetch large arguments, which may differ in their bytes alone. Then see whether it is to be undone without its code."""
    if isinstance(error, GeneratorExit):  # it goes on elsewhere
        raise error
    if isinstance(error, NonDeterminism) and missing_in(assign):
        _begin_anew(run, assign)
    elif why := run._way_out.why(run._core, error):
        _begin_anew(run, assign, why)
    else:
        run._block(error)
