"""Who shows wrong tokens again and again is not listened to for a while. Pure: the time comes in."""

from __future__ import annotations

from dataclasses import dataclass

WRONG_MAX = 5
LOCKED_SECONDS = 60
LOCKED_SECONDS_MAX = 3_600
FORGOTTEN_SECONDS = 900
"""After the last wrong one, or the end of a lock."""
ADDRESSES_MAX = 10_000


@dataclass(slots=True)
class _Address:
    wrong: int = 0
    until_ms: int = 0
    last_ms: int = 0


class Lockout:
    """By address: WRONG_MAX wrong ones shut it for LOCKED_SECONDS, each further one for twice as long as the lock before."""

    def __init__(self) -> None:
        self._known: dict[str, _Address] = {}

    def seconds_left(self, address: str, now_ms: int) -> int:
        """0: it may try."""
        known = self._known.get(address)
        return 0 if known is None else max(-((now_ms - known.until_ms) // 1000), 0) if known.until_ms > now_ms else 0

    def wrong(self, address: str, now_ms: int) -> None:
        known = self._known.pop(address, None) or _Address()
        if now_ms > max(known.last_ms, known.until_ms) + FORGOTTEN_SECONDS * 1000:
            known = _Address()
        known.wrong += 1
        known.last_ms = now_ms
        if known.wrong >= WRONG_MAX:
            seconds = min(LOCKED_SECONDS * 2 ** min(known.wrong - WRONG_MAX, 10), LOCKED_SECONDS_MAX)
            known.until_ms = now_ms + seconds * 1000
        self._known[address] = known  # the last one to be forgotten
        if len(self._known) > ADDRESSES_MAX:
            del self._known[next(iter(self._known))]

    def right(self, address: str) -> None:
        self._known.pop(address, None)
