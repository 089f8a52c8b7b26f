"""What a line of the log carries beside its words, for whoever collects logs: which saga it is about."""

from __future__ import annotations

from typing import Any, Protocol

CONTEXT = ("saga", "run", "saga_type", "step", "attempt")


class _Named(Protocol):
    @property
    def saga(self) -> str: ...

    @property
    def run(self) -> int: ...


def about(key: _Named, saga_type: str = "", step: str = "", attempt: int | str = "") -> dict[str, Any]:
    """`extra=` of a record about this run; what does not apply is empty."""
    return {"saga": key.saga, "run": key.run, "saga_type": saga_type, "step": step, "attempt": attempt}
