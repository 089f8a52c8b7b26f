"""The server's limits and intervals. Every bound has a name, its unit last."""

from __future__ import annotations

from dataclasses import dataclass

from durable_saga.pb.payloads import FRAME_BYTES_MAX, PAYLOAD_BYTES_MAX

AROUND_BYTES = 1024 * 1024
RETENTION_MS_MAX = 20 * 365 * 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    lease_ms: int = 8_000
    """A worker that is not heard of for this long is dead; its runs go to others."""
    heartbeat_ms: int = 2_000
    unread_ms_max: int = 30_000
    """A worker that reads nothing of what is sent to it for this long is dead too."""
    reconnect_grace_ms: int = 1_000
    """After a broken stream: how long the same worker may come back and keep its runs."""
    rehint_ms: int = 60_000
    """An open run with an owner is looked at this often."""
    horizon_ms: int = 90_000
    """A new home reads its hints this far ahead; longer than rehint_ms, so that it finds every active run."""
    sweep_ms: int = 5_000
    hint_late_ms: int = 15_000
    """A hint that is written by another server may come this long after its due time and is still found."""
    hint_grace_ms: int = 60_000
    """A hint whose run is not there is kept this long: the start that it belongs to may be on its way."""
    message_write_ms: int = 30_000
    """The write of a message may take this long. A hint of a run without an owner that has nothing to do is looked at once
    more when it is over."""
    mark_every_ms: int = 30_000
    """How often the watermark of a shard is written."""
    member_beat_ms: int = 2_000
    member_lease_ms: int = 7_000
    """A member of the cell whose counter stands still for this long is dead; its shards get new homes."""
    claim_grace_ms: int = 10_000
    """A connected worker that was just given a run by another server may take this long to tell its home."""
    switches_ms: int = 1_000
    """How often what operators have set is read: paused types and roll-outs."""
    mailbox_ms: int = 1_000
    foreign_hint_ms: int = 1_000
    """The home of a run that was started elsewhere looks at it after this."""
    drain_ms: int = 5_000
    """A server that stops waits this long for its workers to move their runs."""
    message_hint_ms: int = 5_000
    """A run without an owner here that gets a message is looked at after this, should this server die."""
    commits_in_flight_max: int = 1_000
    calls_at_once_max: int = 2_000
    """Starts and messages that are being written; more are refused with a time after which to come again."""
    resend_for_ms: int = 10_000
    """An unknown outcome is resolved by sending the same write again for this long; then the worker goes on with it."""
    assignments_at_once_max: int = 32
    runnable_max: int = 100_000
    """Runs that wait for a worker, in memory; those of paused types are half of them at most."""
    wait_ms_max: int = 30_000
    events_per_read: int = 2_000
    list_max: int = 1_000
    id_characters_max: int = 255
    claim_characters_max: int = 1_000
    keyed_sagas_max: int = 1_000
    """How many sagas one correlation key reaches."""
    payload_bytes_max: int = PAYLOAD_BYTES_MAX
    large_bytes_in_flight_max: int = 256 * 1024 * 1024
    """Of large payloads that are being written, in requests that were taken."""
    orphan_chunks_ms: int = 3_600_000
    """Chunks of a start that never came about are kept this long."""
    message_bytes_max: int = 64 * 1024 * 1024
    """Of gRPC. A frame, or a large payload and what is around it, is one message."""
    retention_ms: int = 0
    """A run is purged this long after its end; 0: it is kept for ever (docs/retention.md)."""

    def __post_init__(self) -> None:
        """Raises ValueError."""
        least_bytes = max(FRAME_BYTES_MAX, self.payload_bytes_max) + AROUND_BYTES
        if self.message_bytes_max < least_bytes:
            raise ValueError(
                f"message_bytes_max is {self.message_bytes_max}: it must be at least {least_bytes}, for a frame of"
                f" {FRAME_BYTES_MAX} bytes, a payload of payload_bytes_max ({self.payload_bytes_max}) and what is around them"
            )
        least_ms = 2 * self.hint_grace_ms
        if self.retention_ms != 0 and not least_ms <= self.retention_ms <= RETENTION_MS_MAX:
            raise ValueError(
                f"retention_ms is {self.retention_ms}: it must be 0 (ended sagas are never purged), or {least_ms}"
                f" (2 * hint_grace_ms: what was on its way at the end is settled by then) to {RETENTION_MS_MAX}"
            )
