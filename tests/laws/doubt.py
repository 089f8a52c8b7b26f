"""Law L2 over a history alone: no run ends while an effect of it is in doubt. Knows the events, and nothing of the engine."""

from __future__ import annotations

from collections.abc import Iterable

from durable_saga.pb import history_pb2 as h

_SETTLED = {"compensation_completed", "compensation_skipped"}
_BY_WORD = (h.CompensationDecided.SKIP, h.CompensationDecided.RESOLVE)


def unsettled(journal: Iterable[h.Event]) -> list[str]:
    """Calls whose effect is in doubt at the end of a run, empty for one that has not ended: it began, has a compensation, and
    neither success nor the proof that nothing happened is recorded, nor an outcome of its compensation. A step that was
    cancelled is in doubt even if its attempt told of a success after that."""
    doubt: dict[str, bool] = {}
    for event in journal:
        kind = str(event.WhichOneof("kind"))
        fact = getattr(event, kind)
        call = getattr(fact, "call", "")
        if kind == "step_scheduled" and fact.compensation and not fact.no_effect:
            doubt[call] = True
        elif kind == "step_completed" and not _is_late(doubt, call):
            doubt[call] = False
        elif kind == "step_cancelled" and not fact.never_started:
            doubt[f"{call} was cancelled"] = True
        elif (
            kind in _SETTLED
            or (kind == "step_cancelled" and fact.never_started)
            or (kind == "step_failed" and fact.failure.not_applied)
            or (kind == "compensation_decided" and fact.verb in _BY_WORD)
        ):
            doubt[call] = False
        elif kind == "saga_ended":
            return [call for call, open_ in doubt.items() if open_ and not call.endswith("was cancelled")]
    return []


def _is_late(doubt: dict[str, bool], call: str) -> bool:
    return f"{call} was cancelled" in doubt
