"""`make bench-scale`: what grows, measured. Parts by name: history, parked, servers, replicas, shards,
takeover, hot; all without one.

    python -m benchmarks.scale [PART …] [--journal sqlite|cassandra] [--share 0.01]

One line of JSON for each result on stdout, progress on stderr. Servers and workers are processes of their own; a Cassandra
node is started here. `--share` makes every size smaller, to try it. What the figures mean: docs/scale.md.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import tempfile
import time
from typing import Any

from rich.console import Console

from benchmarks.scaling.histories import history
from benchmarks.scaling.hot import hot
from benchmarks.scaling.parked import parked
from benchmarks.scaling.servers import replicas, servers, shards
from benchmarks.scaling.stand import Settings
from benchmarks.scaling.takeover import takeover

PARTS = {one.__name__: one for one in (history, parked, servers, replicas, shards, takeover, hot)}
JOURNALS = ("sqlite", "cassandra")
LINE_SECONDS = 10.0
"""Where stderr is no terminal, progress is said this often."""


class Told:
    """Progress on stderr: one line that changes, or in a file a line now and then."""

    def __init__(self) -> None:
        self.part = ""
        self._console = Console(stderr=True)
        self._status = self._console.status("")
        self._began = time.monotonic()
        self._said = float("-inf")

    def say(self, text: str) -> None:
        words = f"{self.part}, {time.monotonic() - self._began:.0f} s: {text}"
        if self._console.is_terminal:
            self._status.start()
            self._status.update(words)
        elif time.monotonic() > self._said + LINE_SECONDS:
            self._said = time.monotonic()
            print(words, file=sys.stderr, flush=True)

    def tell(self, found: dict[str, Any]) -> None:
        print(json.dumps(found), flush=True)

    def end(self) -> None:
        self._status.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--journal", choices=JOURNALS, action="append")
    parser.add_argument("--share", type=float, default=1.0)
    chosen = parser.parse_args()
    if unknown := [one for one in chosen.parts if one not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    told = Told()
    with tempfile.TemporaryDirectory() as name:
        journals = tuple(chosen.journal or JOURNALS)
        settings = Settings(pathlib.Path(name), journals, chosen.share, told.say, told.tell)
        try:
            for part in chosen.parts or PARTS:
                told.part = part
                PARTS[part](settings)
        finally:
            settings.close()
            told.end()


if __name__ == "__main__":
    main()
