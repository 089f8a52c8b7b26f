"""The messages of a run as Describe shows them: a fold over its events, and what waits in its inbox. Pure.

What its code has read is not recorded, and not shown once the run has ended; until then it is shown as taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga_server.history.appending import OPEN

MESSAGES_SHOWN_MAX = 100
"""Of those that wait, and of the others."""
MESSAGE_KINDS = frozenset({"signal_received", "signal_rejected", "unwind_started", "settling_started"})
_VERBS = {
    h.CompensationDecided.RETRY: "retry",
    h.CompensationDecided.SKIP: "skip",
    h.CompensationDecided.RESOLVE: "resolve",
}
_TAKEN = frozenset({
    "signal_received", "cancel_requested", "compensation_decided", "recover_requested", "compensate_requested",
    "pause_requested", "resume_requested", "retry_requested",
})  # fmt: skip


class Messages:
    """Of one run. `take()` its events, `ended()` at its end, `show()` last."""

    def __init__(self, into: c.Description) -> None:
        self._into = into
        self._views: dict[str, c.MessageView] = {}
        self._code_is_done = False

    def take(self, kind: str, body: Any, event: h.Event) -> None:
        if kind == "signal_received":
            state = "unread" if self._code_is_done else "taken"
            self._views[body.message_id] = c.MessageView(
                message_id=body.message_id, kind="signal", state=state, name=body.name, received_ms=event.time_ms
            )
        elif kind == "signal_rejected":
            view = self._views.setdefault(body.message_id, c.MessageView(message_id=body.message_id, kind="signal"))
            view.name, view.state = body.name, "rejected"
            view.received_ms = view.received_ms or event.time_ms
            view.failure.CopyFrom(body.failure)
        elif kind == "settling_started" or not body.call:
            self._code_is_done = True  # nobody reads what comes from here on

    def ended(self, body: h.SagaEnded) -> None:
        """What it says is unread is so, beside what came too late; the rest was read, or goes to the next run."""
        unread = set(body.unread)
        for message_id, view in list(self._views.items()):
            if message_id in unread and view.state == "taken":
                view.state = "unread"
            elif view.state == "taken":
                del self._views[message_id]

    def show(self, inbox: Iterable[h.InboxMessage]) -> None:
        """Those that wait, requests first; then the others, the newest of them if they are too many."""
        state = "waiting" if self._into.status in OPEN else "unread"
        waiting = [_waiting(one, state) for one in inbox]
        waiting.sort(key=lambda view: view.kind == "signal")
        others = list(self._views.values())
        shown = [*waiting[:MESSAGES_SHOWN_MAX], *others[-MESSAGES_SHOWN_MAX:]]
        self._into.messages.extend(shown)
        self._into.messages_left_out = len(waiting) + len(others) - len(shown)


def taken_ids(events: Iterable[h.Event]) -> set[str]:
    """Of messages that stand in the history: they may stand in the inbox still."""
    kinds = ((event, event.WhichOneof("kind")) for event in events)
    return {getattr(event, kind).message_id for event, kind in kinds if kind in _TAKEN}


def _waiting(message: h.InboxMessage, state: str) -> c.MessageView:
    kind = message.WhichOneof("kind") or "unknown"
    body: Any = getattr(message, kind, None)
    view = c.MessageView(message_id=message.message_id, kind=kind, state=state, received_ms=message.received_ms)
    view.who, view.reason = getattr(body, "who", ""), getattr(body, "reason", "") or getattr(body, "note", "")
    view.call, view.name = getattr(body, "call", ""), getattr(body, "name", "")
    if kind == "decision":
        view.name = _VERBS.get(message.decision.verb, "")
    return view
