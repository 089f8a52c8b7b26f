"""`make bench-against COMMIT=…`: this tree and that of a commit by turns on this machine, and the ratios of their medians.

Both run the same program (`measured.py`) with this tree's Python and its installed packages; only the project's own code
differs. ROUNDS (7) is how often each has its turn. A ratio above 1 means that this tree is better.
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = pathlib.Path(__file__).resolve().parents[1]
ROUND_SECONDS_MAX = 300
console = Console()


def measured(tree: pathlib.Path) -> dict[str, float]:
    paths = os.pathsep.join([str(tree), str(tree / "server")])
    done = subprocess.run(
        [sys.executable, "-P", str(ROOT / "benchmarks" / "measured.py")], cwd=tree, check=True, stdout=subprocess.PIPE,
        timeout=ROUND_SECONDS_MAX, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    commit, rounds = sys.argv[1], int(os.environ.get("ROUNDS", "7"))
    with tempfile.TemporaryDirectory() as name:
        tree = pathlib.Path(name) / "tree"
        subprocess.run(["git", "worktree", "add", "--detach", "--quiet", tree, commit], cwd=ROOT, check=True)
        try:
            found: dict[str, list[dict[str, float]]] = {"before": [], "now": []}
            for number in track(range(2 * rounds), "rounds", console=console):
                # who begins changes with each round, so that neither always follows the other
                turn = ("before", "now")[(number + number // 2) % 2]
                found[turn].append(measured(tree if turn == "before" else ROOT))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)
    table = Table(f"against {commit}, {rounds} rounds", "before", "now", "ratio", "ratio of the best")
    for line in found["now"][0]:
        before, now = ([one[line] for one in found[turn]] for turn in ("before", "now"))
        is_rate = "/s" in line
        middle, best = statistics.median, max if is_rate else min
        ratios = [middle(now) / middle(before), best(now) / best(before)]
        shown = [f"{one if is_rate else 1 / one:.2f}" for one in ratios]
        table.add_row(line, f"{middle(before):,.1f}", f"{middle(now):,.1f}", *shown)
    console.print(table)


if __name__ == "__main__":
    main()
