"""The runs of one saga: each but the last ended by continue_as_new, and the next one follows (docs/continue-as-new.md).

The end of a run holds how the next one starts. Whoever sees a run that ended so makes the next one, first: the server that
committed the end, one that looks for the newest run, or a hint. All of them write the same, so it does not matter how many do.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb.log_fields import about
from durable_saga.pb.pausing import words
from durable_saga.pb.payloads import DETERMINISM_RULES, payloads
from durable_saga_server.failures import ServiceError
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Head, Hint, JournalError, Run, Unknown
from durable_saga_server.journal.rules import attributes_in
from durable_saga_server.large import LargePayloads
from durable_saga_server.means import Means
from durable_saga_server.runs.delivery import Delivery
from durable_saga_server.waking.wake import Waker

log = logging.getLogger(__name__)
CREATE_ATTEMPTS_MAX = 20
CREATE_AGAIN_SECONDS = 0.25
CARRIED = frozenset({"signal", "cancel", "compensate", "pause", "resume"})
_TAKEN = ("signal_received", "cancel_requested", "compensate_requested", "pause_requested", "resume_requested")


class Chains:
    """Every method raises JournalError. `notify` tells those who wait for the end of a run, `begun` that a saga which
    had ended begins again."""

    def __init__(
        self, means: Means, large: LargePayloads, waker: Waker, delivery: Delivery, notify: Callable[[Run], None],
        begun: Callable[[Run], None],
    ) -> None:  # fmt: skip
        self._journal = means.journal
        self._clock = means.clock
        self._config = means.config
        self._large = large
        self._waker = waker
        self._delivery = delivery
        self._notify = notify
        self.begun_again = begun

    async def newest(self, namespace: str, saga: str) -> Head | None:
        """The head of the newest run. It did not continue; None: there is no such saga. A saga that was started again under
        its id, after its end, has a newer run too (again.py)."""
        known = 0
        while True:
            root = await self._journal.runs.head(Run(namespace, saga))
            if root is None or (root.status != h.CONTINUED and root.newest <= 1):
                return root
            head: Head | None = root
            if root.newest > 1:
                head = await self._journal.runs.head(Run(namespace, saga, root.newest))
            if head is None:  # it was named before it is made, by a start, or is purged
                head = await self._journal.runs.head(Run(namespace, saga, root.newest - 1))
            while head is not None and head.status == h.CONTINUED:
                head = await self.go_on(head)
            if head is not None or root.newest == known:
                return head
            known = root.newest  # the one that it named may have been purged since, after a newer one was made

    async def follow(self, run: Run) -> None:
        """A run has just ended so. What fails here is done by its hint."""
        try:
            head = await self._journal.runs.head(run)
            if head is not None and head.status == h.CONTINUED:
                await self.go_on(head)
        except JournalError as error:
            log.warning(
                "run %s of saga %s can't continue in its next run yet: %s", run.run + 1, run.saga, error, extra=about(run)
            )

    async def go_on(self, head: Head) -> Head | None:
        """See to it that the run after this one is there and has what this one left unread; gives its head, None if it was
        purged already. Once the first run knows of it, it is not made again."""
        run = head.run
        following, first = run._replace(run=run.run + 1), run._replace(run=1)
        root = head if run == first else await self._journal.runs.head(first)
        if root is None:
            return None
        there = await self._journal.runs.head(following) if root.newest >= following.run else None
        if there is None and root.newest >= following.run:
            return None
        if (last := await self._event(head, head.next_seq - 1)) is None:
            return None
        carried = await self._carry(head, last.saga_ended.next, following)
        if there is None:
            if (begun := await self._event(head, 0)) is None:
                return None
            there = await self._continue(head, begun.saga_started, last.saga_ended.next, following)
            await self._journal.runs.advance(first, root.incarnation, following.run)
            self._notify(run)
            await self._delivery.hand_over(there, [])
        if carried and there.status == h.CONTINUED:
            await self.go_on(there)
        elif carried and there.status in OPEN:
            await self._delivery.hand_over(there, carried)
        return there

    async def restart(self, head: Head, begun: h.SagaStarted, asked: h.RestartRequested) -> Head | None:
        """The run after this one, which has ended and is the newest: named first, and then made, as by a start (again.py).
        Gives its head, also where somebody else made it at the same time; None: the saga was purged."""
        run, first = head.run, head.run._replace(run=1)
        following = run._replace(run=run.run + 1)
        root = head if run == first else await self._journal.runs.head(first)
        if root is None:
            return None
        if begun.input.size:
            await self._waker.hint(following, self._clock.now_ms() + self._config.orphan_chunks_ms)
        started = _after(head, begun, b"restarted seed")
        started.input.CopyFrom(begun.input)
        started.keys.extend(begun.keys)
        started.attributes.update(begun.attributes)
        started.first_run = following.run
        if begun.HasField("memo"):
            started.memo.CopyFrom(begun.memo)
        started.restart.CopyFrom(asked)
        await self._journal.runs.advance(first, root.incarnation, following.run)
        self.begun_again(following)
        there = await self._create(head, started, following, _derived(head.incarnation, b"restarted"))
        await self._delivery.hand_over(there, [])
        return there

    async def _event(self, head: Head, seq: int) -> h.Event | None:
        """None: another look at it, or at a later run, has purged the run since its head was read."""
        events = await self._journal.runs.events(head.run, seq, 1)
        if not events and await self._journal.runs.head(head.run) is not None:
            raise JournalError(f"run {head.run.run} of saga {head.run.saga} has no event {seq}")
        return events[0] if events else None

    # --- what is left unread ---------------------------------------------------------------------------------------------

    async def _carry(self, head: Head, end: h.Continuation, following: Run) -> list[h.InboxMessage]:
        """Put what the run left unread into the inbox of the next: before its start, when nobody else can write to it, so that
        it comes first; what came too late for that, when it comes. Gives what was not there before."""
        left = await self._left(head, end)
        left = [one for one in left if not await self._journal.inbox.has(following, one.message_id)]
        if left:
            await self._waker.hint(following, self._clock.now_ms() + self._config.message_hint_ms)
        return [one for one in left if await self._journal.inbox.put(following, await self._own(head.run, following, one))]

    async def _left(self, head: Head, end: h.Continuation) -> Sequence[h.InboxMessage]:
        """First what the run took and did not read, by its place in the history; then what it did not take."""
        waiting = [one for one in await self._journal.inbox.unread(head.run) if one.WhichOneof("kind") in CARRIED]
        carried, taken = set(end.carried), set()
        kept: list[h.InboxMessage] = []
        if not carried and not waiting:
            return kept
        seq = 0
        while seq < head.next_seq:
            page = await self._journal.runs.events(head.run, seq, min(self._config.events_per_read, head.next_seq - seq))
            if not page:
                raise JournalError(f"{head.run.saga}: the history ends at event {seq}, but the head says {head.next_seq}")
            for event in page:
                if (kind := event.WhichOneof("kind")) not in _TAKEN:
                    continue
                taken.add(getattr(event, str(kind)).message_id)
                signal = event.signal_received
                if signal.message_id in carried:
                    kept.append(h.InboxMessage(message_id=signal.message_id, received_ms=event.seq, signal=signal))
            seq += len(page)
        return [*kept, *(one for one in waiting if one.message_id not in taken)]

    async def _own(self, run: Run, following: Run, message: h.InboxMessage) -> h.InboxMessage:
        for payload in payloads(message):
            await self._copy(run, following, payload)
        return message

    async def _copy(self, run: Run, following: Run, payload: p.Payload) -> None:
        """Each run has its own large values, so that it can be purged alone."""
        if payload.size:
            try:
                data = await self._large.read(run, payload.hash, payload.size)
            except ServiceError as error:
                raise JournalError(error.message) from error
            await self._large.write(following, payload.hash, data)

    # --- the next run ----------------------------------------------------------------------------------------------------

    async def _continue(self, head: Head, begun: h.SagaStarted, end: h.Continuation, following: Run) -> Head:
        started = _after(head, begun, b"seed")
        started.input.CopyFrom(end.input)
        started.keys.extend(end.keys)
        started.attributes.update(end.attributes)
        started.first_run = begun.first_run
        if end.HasField("pause"):
            started.pause.CopyFrom(end.pause)
        there = await self._create(head, started, following, incarnation := _derived(head.incarnation, b"incarnation"))
        if there.incarnation != incarnation:
            raise JournalError(f"run {following.run} of saga {following.saga} already exists, and belongs to another chain")
        return there

    async def _create(self, head: Head, started: h.SagaStarted, following: Run, incarnation: bytes) -> Head:
        """The same incarnation whoever does it, so that only one of them does. Gives what is there then."""
        await self._copy(head.run, following, started.input)
        now_ms = self._clock.now_ms()
        event = h.Event(seq=0, time_ms=now_ms, large_bytes=started.input.size, saga_started=started)
        new = Head(
            following, incarnation, head.saga_type, h.RUNNING, "", 1, 1, _derived(incarnation, b"commit"), now_ms, now_ms,
            wake_at_ms=now_ms, attributes=attributes_in([event]),
            paused=words(started.pause.who, started.pause.reason) if started.HasField("pause") else "",
        )  # fmt: skip
        hint = Hint(now_ms + self._config.message_hint_ms, following)
        attempt = 0
        while isinstance(outcome := await self._journal.runs.create(new, event, hint), Unknown):
            attempt += 1
            if attempt == CREATE_ATTEMPTS_MAX:
                raise JournalError(f"run {following.run} of saga {following.saga} can't be made now: {outcome.reason}")
            await self._clock.sleep(CREATE_AGAIN_SECONDS)
        self._waker.written(hint)
        return outcome.head


def _after(head: Head, begun: h.SagaStarted, seed: bytes) -> h.SagaStarted:
    """How any run after `head` begins, which has begun so."""
    return h.SagaStarted(
        saga_type=head.saga_type, timeout_ms=begun.timeout_ms, seed=_derived(head.incarnation, seed),
        previous_run=head.run.run, default_timeout_ms=begun.default_timeout_ms, rules=DETERMINISM_RULES, carried=begun.carried,
        carried_values=begun.carried_values if begun.HasField("carried_values") else None,
    )  # fmt: skip


def _derived(incarnation: bytes, what: bytes) -> bytes:
    """16 bytes that follow from the run before."""
    return hashlib.sha256(incarnation + what).digest()[:16]
