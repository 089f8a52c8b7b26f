"""Runs whose new owner stands in the journal, and who has not got them yet: the journal failed while what he gets was read, or
his session ended. What the owner before had under way is still to be told as cut off then, whoever gets the run at last.

It is known for as long as this server lives, and for the newest RUNS_MAX.
"""

from __future__ import annotations

from durable_saga_server.journal import Head, Run

RUNS_MAX = 10_000


class NotGiven:
    def __init__(self) -> None:
        self._named: dict[Run, tuple[int, str, str]] = {}

    def __len__(self) -> int:
        return len(self._named)

    def naming(self, head: Head, owner: str, former: str) -> None:
        """It is about to be written that `owner` has the run after this epoch; `former` had it before."""
        self._named[head.run] = (head.epoch + 1, owner, former)
        if len(self._named) > RUNS_MAX:
            del self._named[next(iter(self._named))]

    def former(self, head: Head) -> str:
        """Who had the run in fact, empty: it was given back."""
        epoch, owner, former = self._named.get(head.run, (0, "", ""))
        return former if (epoch, owner) == (head.epoch, head.owner) else head.owner

    def given(self, run: Run) -> None:
        self._named.pop(run, None)
