"""What a worker tells of a run beside its status, for listings: a fold over its history. It is told with commits and releases
that are sent anyway, and only when it changed: a step that succeeds at once tells nothing (docs/listing.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from durable_saga.pb import history_pb2 as h
from durable_saga.pb.limits import ID_CHARACTERS_MAX
from durable_saga.replay import Core

SIGNALS_NAMED_MAX = 3
_NOTHING = h.Doing()


@dataclass(slots=True)
class _Trouble:
    """A call whose last attempt failed."""

    name: str
    failure_type: str
    attempt: int
    next_ms: int
    since_ms: int


class DoingNow:
    """Made from the history; `add` follows it."""

    def __init__(self, events: Sequence[h.Event]) -> None:
        self._names: dict[str, str] = {}
        self._retrying: dict[str, _Trouble] = {}
        self._stuck: dict[str, _Trouble] = {}
        self._why = self._failed = ""
        self._settling_ms = 0
        self._told: h.Doing | None = None
        self.add(events)
        if len(events) == 1:  # it begins: what nobody has told is as it is
            self._told = _NOTHING

    def add(self, events: Iterable[h.Event]) -> None:
        names = self._names
        for event in events:
            kind = event.WhichOneof("kind")
            if kind == "step_scheduled":  # these two are most of them
                body = event.step_scheduled
                names[body.call] = body.name
            elif kind == "step_completed" and not (self._retrying or self._stuck):
                names.pop(event.step_completed.call, None)
            elif (change := _CHANGES.get(kind)) is not None:
                change(self, getattr(event, kind), event.time_ms)

    def now(self, waiting: h.Doing | None = None) -> h.Doing:
        """`waiting`: for what, if it is about to be parked."""
        if self._stuck:
            return _told_of(h.SUB_STATE_UNSPECIFIED, next(iter(self._stuck.values())))
        if self._retrying:
            return _told_of(h.RETRYING, next(iter(self._retrying.values())))
        if self._settling_ms:
            return h.Doing(sub_state=h.SETTLING, since_ms=self._settling_ms)
        if self._why:
            return h.Doing(name=_cut(self._failed), failure_type=_cut(self._why))
        return waiting or _NOTHING

    def news(self, status: h.Status) -> h.Doing | None:
        """To be told with a commit; None: as before. One that ends is always told: who writes the listing need not look."""
        is_plain = not (self._retrying or self._stuck or self._settling_ms or self._why)
        if is_plain and self._told is _NOTHING and status == h.RUNNING:
            return None
        doing = self.now()
        if doing == self._told and status in (h.RUNNING, h.COMPENSATING):
            return None
        self._told = doing
        return doing

    def _scheduled(self, body: Any, _: int) -> None:
        self._names[body.call] = body.name

    def _attempt_failed(self, body: Any, time_ms: int) -> None:
        name, before = self._names.get(body.call, ""), self._retrying.get(body.call)
        since_ms = time_ms if before is None else before.since_ms
        self._retrying[body.call] = _Trouble(name, body.failure.type, body.attempt, body.retry_at_ms, since_ms)

    def _over(self, body: Any, _: int) -> None:
        self._names.pop(body.call, None)
        if self._retrying or self._stuck:
            self._retrying.pop(body.call, None)
            self._stuck.pop(body.call, None)

    def _step_failed(self, body: Any, time_ms: int) -> None:
        self._failed = self._names.get(body.call, "")
        self._over(body, time_ms)

    def _is_stuck(self, body: Any, time_ms: int) -> None:
        name = self._names.get(body.call, "")
        self._over(body, time_ms)
        self._stuck[body.call] = _Trouble(name, body.failure.type, body.attempt, 0, time_ms)

    def _decided(self, body: Any, time_ms: int) -> None:
        self._over(body, time_ms)

    def _unwound(self, body: Any, _: int) -> None:
        if not body.call:
            self._why, self._settling_ms = body.failure.type, 0
            self._retrying.clear()

    def _held(self, body: Any, _: int) -> None:
        self._why = body.failure.type
        self._retrying.clear()

    def _recovered(self, _: Any, __: int) -> None:
        self._why = ""
        self._retrying.clear()

    def _settles(self, _: Any, time_ms: int) -> None:
        self._settling_ms = time_ms

    def _ended(self, body: Any, _: int) -> None:
        self._retrying.clear()
        self._stuck.clear()
        self._settling_ms = 0
        self._why = body.failure.type if body.HasField("failure") else ""


_CHANGES: dict[str | None, Callable[[DoingNow, Any, int], None]] = {
    "step_scheduled": DoingNow._scheduled,
    "compensation_scheduled": DoingNow._scheduled,
    "step_attempt_failed": DoingNow._attempt_failed,
    "compensation_attempt_failed": DoingNow._attempt_failed,
    "step_completed": DoingNow._over,
    "step_cancelled": DoingNow._over,
    "step_failed": DoingNow._step_failed,
    "compensation_completed": DoingNow._over,
    "compensation_skipped": DoingNow._over,
    "compensation_stuck": DoingNow._is_stuck,
    "compensation_decided": DoingNow._decided,
    "unwind_started": DoingNow._unwound,
    "settling_started": DoingNow._settles,
    "saga_held": DoingNow._held,
    "recover_requested": DoingNow._recovered,
    "saga_ended": DoingNow._ended,
}


def waits_for(core: Core, now_ms: int) -> h.Doing:
    """Of a run that is about to be parked: signals, by their names, or a time."""
    names, timer_ms = core.signals.awaited(), core.next_timer_ms
    if timer_ms and not names:
        return h.Doing(sub_state=h.SLEEPING, next_ms=timer_ms, since_ms=now_ms)
    name, next_ms = ", ".join(names[:SIGNALS_NAMED_MAX]), min(filter(None, (timer_ms, core.deadline_ms)), default=0)
    return h.Doing(sub_state=h.WAITING, name=_cut(name), next_ms=max(next_ms, 0), since_ms=now_ms)


def _told_of(state: h.SubState, one: _Trouble) -> h.Doing:
    return h.Doing(
        sub_state=state, name=_cut(one.name), failure_type=_cut(one.failure_type), attempt=one.attempt,
        next_ms=max(one.next_ms, 0), since_ms=max(one.since_ms, 0),
    )  # fmt: skip


def _cut(text: str) -> str:
    return text[:ID_CHARACTERS_MAX]
