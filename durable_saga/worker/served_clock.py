"""The time of the server, on a worker whose own clock may be off.

Timers of a saga are handed from worker to worker and looked at by servers: all of them go by the server's time. A worker that
is off by more than CLOCK_OFF_MS_MAX corrects itself by what the server's Welcome says, and warns.
"""

from __future__ import annotations

import logging

from durable_saga.clock import Clock

log = logging.getLogger(__name__)
CLOCK_OFF_MS_MAX = 2_000


class ServedClock:
    """`offset_ms` is added to the own clock; 0 while that is right, or a server is too old to tell its time."""

    def __init__(self, own: Clock) -> None:
        self._own = own
        self.offset_ms = 0

    def now_ms(self) -> int:
        return self._own.now_ms() + self.offset_ms

    def told(self, server: str, server_ms: int) -> None:
        """The server's time, as its Welcome said a moment ago; 0: it did not say."""
        if not server_ms:
            return
        off_ms = self._own.now_ms() - server_ms
        self.offset_ms = -off_ms if abs(off_ms) > CLOCK_OFF_MS_MAX else 0
        if self.offset_ms:
            where = "ahead of" if off_ms > 0 else "behind"
            log.warning(
                "this machine's clock is %.1f s %s the clock of %s. Sagas use the server's time; set the clock here (NTP)",
                abs(off_ms) / 1000, where, server,
            )  # fmt: skip
