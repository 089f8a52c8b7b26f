"""What a worker gets with a run: its history, and what waits in its inbox."""

from __future__ import annotations

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.payloads import HISTORY_BYTES_MAX
from durable_saga_server.journal import Head, Journal, JournalDamaged
from durable_saga_server.keys import key_of
from durable_saga_server.workers.sessions import Ownership, Session

ASSIGN_BYTES_MAX = 4 * 1024 * 1024
ASSIGN_MESSAGES_MAX = 500
HISTORY_BYTES_HANDED_MAX = 3 * HISTORY_BYTES_MAX
"""A longer one is not read to its end: no worker writes such a thing."""


def assign(
    session: Session, head: Head, events: list[h.Event], inbox: list[h.InboxMessage], *, is_home: bool, former: str = "",
) -> None:  # fmt: skip
    """The worker owns the run from here on. It tells the run's home; if we are that, we know. A long history goes in pieces.
    `former`: the owner that did not give it back; what another process had under way was cut off."""
    if is_home:
        build = session.build if head.next_seq <= 1 else head.build
        session.owned[head.run] = Ownership(
            head.incarnation, head.epoch, head.saga_type, build, bool(head.blocked), status=head.status
        )  # fmt: skip
    item = w.Assign(key=key_of(head.run), incarnation=head.incarnation, epoch=head.epoch)
    item.interrupted = former not in ("", session.name)
    size = 0
    for event in events:
        if size > ASSIGN_BYTES_MAX:
            item.more, size = True, 0
            session.send(w.ServerItem(assign=item))
            item = w.Assign(key=item.key, incarnation=head.incarnation, epoch=head.epoch)
        size += event.ByteSize()
        item.events.append(event)
    first = inbox[:ASSIGN_MESSAGES_MAX]
    item.inbox.extend(first)
    if is_home:
        session.owned[head.run].sent.update((message.message_id, None) for message in first)
    session.behind.pop(head.run, None)
    session.send(w.ServerItem(assign=item))
    session.deliver(head.run, key_of(head.run), head.epoch, inbox[ASSIGN_MESSAGES_MAX:])


class Handing:
    """A run on its way to a worker, who is named its owner in the journal already and can't be sent anything yet. What is
    written into its inbox meanwhile goes with it; otherwise later messages would overtake it. `look`: its inbox is to be read;
    `messages`: what this server wrote into it since; `gone`: the epoch in which its worker has given it up since."""

    __slots__ = ("gone", "look", "messages")

    def __init__(self, look: bool) -> None:
        self.look = look
        self.gone = 0
        self.messages: list[h.InboxMessage] = []


async def read_history(journal: Journal, head: Head, per_read: int) -> list[h.Event]:
    """All of it. Raises JournalError; JournalDamaged where it can't be all."""
    events: list[h.Event] = []
    size = 0
    while len(events) < head.next_seq and size <= HISTORY_BYTES_HANDED_MAX:
        page = await journal.runs.events(head.run, len(events), min(per_read, head.next_seq - len(events)))
        if not page:
            break
        size += sum(event.ByteSize() for event in page)
        events += page
    if len(events) != head.next_seq:
        raise JournalDamaged(
            f"run {head.run.run} of saga {head.run.saga!r} is damaged: {len(events)} events of {size} bytes can be read,"
            f" but the head says {head.next_seq}"
        )
    return events
