"""The sagas that this worker could not go on with: how often in a row, and when that was said last.

The server gives each to a worker of another build, or, where there is none, tries it again: after BLOCKED_RETRY_MS, then after
twice as long, up to BLOCKED_RETRY_MS_MAX. The log says it at first, when the reason changes, and once in BLOCKED_SAID_SECONDS.
Kept in memory only: a new worker begins anew.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from durable_saga.errors import render_failure
from durable_saga.failures.failures import failure_from_exception
from durable_saga.failures.remade import failure_info
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.log_fields import about
from durable_saga.redaction import redacted
from durable_saga.sealing.messages import Sealing, hidden_reason
from durable_saga.watchdog import ActivationTooLong

log = logging.getLogger(__name__)
BLOCKED_RETRY_MS = 1_000
BLOCKED_RETRY_MS_MAX = 600_000
TOO_LONG_RETRY_MS = 60_000
"""The first one for code that ran for too long: each try costs the others that time."""
BLOCKED_SAID_SECONDS = 3_600.0
BLOCKED_SAGAS_MAX = 10_000
"""Beyond it the one that was blocked first is forgotten: it is said once more, and tried again sooner."""
BLOCKED_CHARACTERS_MAX = 4_000
_Key = tuple[str, str, int]


@dataclass(slots=True)
class _Blocked:
    reason: str
    said: float
    times: int = 0


class BlockedSagas:
    """Owned by a worker."""

    def __init__(self, sealing: Sealing | None = None) -> None:
        self._sealing = sealing
        self._sagas: dict[_Key, _Blocked] = {}

    def __len__(self) -> int:
        return len(self._sagas)

    def again(self, key: h.RunKey, error: BaseException, saga_type: str = "") -> tuple[str, int]:
        """It is blocked, once more perhaps: say so, unless it was said. The reason, as a journal may
        keep it, and the milliseconds until the next try."""
        reason = reason_of(error)
        place, now = (key.namespace, key.saga, key.run), time.monotonic()
        one = self._sagas.pop(place, None)
        if one is None or one.reason != reason or now > one.said + BLOCKED_SAID_SECONDS:
            log.error("saga %s can't be continued by this worker: %s", key.saga, reason, extra=about(key, saga_type))
            one = _Blocked(reason, now, one.times if one is not None else 0)
        self._sagas[place] = one
        if len(self._sagas) > BLOCKED_SAGAS_MAX:
            del self._sagas[next(iter(self._sagas))]
        first_ms = TOO_LONG_RETRY_MS if isinstance(error, ActivationTooLong) else BLOCKED_RETRY_MS
        retry_ms = min(first_ms * 2 ** min(one.times, 20), BLOCKED_RETRY_MS_MAX)
        one.times += 1
        return hidden_reason(self._sealing, reason, error, key), retry_ms

    def goes_on(self, key: h.RunKey) -> None:
        """It has got something done."""
        if self._sagas:
            self._sagas.pop((key.namespace, key.saga, key.run), None)


def reason_of(error: BaseException) -> str:
    """The user's file and line first, then the error."""
    failure = failure_from_exception(error)
    if isinstance(error, ActivationTooLong):
        failure.traceback = redacted(error.stack)
    return render_failure(failure_info(failure))[-BLOCKED_CHARACTERS_MAX:]
