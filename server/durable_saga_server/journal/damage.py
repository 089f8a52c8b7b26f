"""What is read of a run: in pieces that fit into memory, and where rows can't be read any more, what is left of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf.message import DecodeError

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal import JournalDamaged, Run

SEQS_NAMED_MAX = 10
READ_BYTES_MAX = 8 * 1024 * 1024
"""Of events in one read: it ends with the one that passes this, and the next read goes on behind it."""


def cut_bytes(rows: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """No more than READ_BYTES_MAX, but at least one."""
    size = 0
    for seq, data in rows:
        yield seq, data
        size += len(data)
        if size > READ_BYTES_MAX:
            return


def read_events(run: Run, rows: Iterable[tuple[int, bytes]]) -> list[h.Event]:
    """From (seq, event). Raises JournalDamaged, which carries those that can be read."""
    events: list[h.Event] = []
    damaged: list[int] = []
    for seq, data in rows:
        try:
            event = h.Event.FromString(data)
        except (DecodeError, TypeError):
            damaged.append(seq)
            continue
        if event.seq == seq:
            events.append(event)
        else:
            damaged.append(seq)
    if damaged:
        named = ", ".join(str(seq) for seq in damaged[:SEQS_NAMED_MAX]) + (", …" if len(damaged) > SEQS_NAMED_MAX else "")
        raise JournalDamaged(
            f"run {run.run} of saga {run.saga!r} is damaged: its event {named} can't be read. Restore the journal from a copy,"
            " or terminate the saga",
            events,
        )
    return events


def read_messages(run: Run, rows: Iterable[bytes]) -> list[h.InboxMessage]:
    """Raises JournalDamaged."""
    try:
        return [h.InboxMessage.FromString(row) for row in rows]
    except (DecodeError, TypeError):
        raise JournalDamaged(
            f"run {run.run} of saga {run.saga!r} is damaged: a message in its inbox can't be read. Restore the journal from a"
            " copy, or terminate the saga"
        ) from None
