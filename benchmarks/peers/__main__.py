"""`make bench-peers`: every peer in turn, ROUNDS times, on the same workloads; a table and a drawing in benchmarks/results/.

    PEERS=restate,dbos-sqlite   some of them; all if not given
    ROUNDS=3  QUICK=1           QUICK: smaller sizes and shorter limits
    WORKLOADS=latency,parked    some columns
    INTO=NAME                   benchmarks/results/NAME.json, .md and .svg; default: peers
    ADD=1                       adds to what INTO holds: a sitting in several goes

A peer that fails, or can't do something, is shown so, and the run goes on. After a workload that was late or failed the peer is
started anew, so that what it left behind doesn't disturb the next one. docs/performance.md says how to read the result.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from benchmarks.peers import catalogue
from benchmarks.peers.machine import machine
from benchmarks.peers.peer import QUICK, Answer, Peer, Sizes
from benchmarks.peers.processes import PLACE, ROOT, Failed
from benchmarks.peers.report import brief, write

RESULTS = ROOT / "benchmarks" / "results"
Work = Callable[[], Awaitable[Answer]]


def workloads(peer: Peer, wanted: list[str]) -> dict[str, Work]:
    """Those that are wanted; all if none is named. Raises ValueError for a name that there is not."""
    replays: dict[str, Work] = {f"replay_{steps}": partial(peer.replay, steps) for steps in peer.sizes.replayed_steps}
    found: dict[str, Work] = {
        "latency": peer.latency,
        "throughput_50": lambda: peer.throughput(50),
        "throughput_500": lambda: peer.throughput(500),
        "signal": peer.signal,
        "fan": peer.fan,
        "fails": peer.fails,
        **replays,
        "parked": peer.parked,
    }
    if unknown := [name for name in wanted if name not in found]:
        raise ValueError(f"WORKLOADS: there is no {', '.join(unknown)}; there are {', '.join(found)}")
    return {name: work for name, work in found.items() if name in wanted or not wanted}


async def measure(peer: Peer, wanted: list[str]) -> dict[str, Answer]:
    """The workloads of one peer; raises nothing but the interrupt of the one who waits."""
    answers: dict[str, Answer] = {}
    starts, running = 0, False
    try:
        for name, work in workloads(peer, wanted).items():
            try:
                if not running:
                    starts, running = starts + 1, True
                    await peer.start(catalogue.run_folder(peer, starts))
                    await peer.warm_up()
                answers[name] = await work()
            except (Failed, OSError, TimeoutError) as error:
                answers[name] = {"error": f"{type(error).__name__}: {error}"}
            print(f"  {name:<15} {brief(name, answers[name])}", flush=True)
            if "late" in answers[name] or "error" in answers[name]:
                await peer.stop()
                running = False
    finally:
        await peer.stop()
        _sweep(peer, starts, keep_logs=any({"error", "late"} & answer.keys() for answer in answers.values()))
    return answers


def _sweep(peer: Peer, starts: int, *, keep_logs: bool) -> None:
    for number in range(1, starts + 1):
        folder = catalogue.run_folder(peer, number)
        if keep_logs:
            logs = PLACE / "logs" / folder.name
            shutil.rmtree(logs, ignore_errors=True)
            logs.mkdir(parents=True)
            for log in folder.glob("*.log"):
                shutil.copy(log, logs)
        shutil.rmtree(folder, ignore_errors=True)


def entry(sitting: dict[str, Any], peer: Peer) -> dict[str, Any]:
    found: dict[str, Any] = sitting["peers"].setdefault(peer.name, {"rounds": []})
    found.update(label=peer.label, durability=peer.durability)
    sitting["peers"] = dict(sorted(sitting["peers"].items(), key=lambda each: catalogue.NAMES.index(each[0])))
    return found


async def sit(sitting: dict[str, Any], peers: list[Peer], wanted: list[str], rounds: int, file: pathlib.Path) -> None:
    """SIGTERM ends it as Ctrl-C does: the processes of the peer in turn are stopped."""
    task = asyncio.current_task()
    assert task is not None, "it runs in one"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    ready = []
    for peer in peers:
        print(f"{peer.name}: installing what is missing", flush=True)
        try:
            peer.install()
            entry(sitting, peer)["versions"] = peer.versions()
            ready.append(peer)
        except (Failed, OSError) as error:
            entry(sitting, peer)["not_installed"] = str(error)
            print(f"  {error}", flush=True)
    for number in range(rounds):
        for peer in ready:
            print(f"{peer.name}, round {number + 1} of {rounds}", flush=True)
            shutil.rmtree(PLACE / "runs", ignore_errors=True)
            began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            answers = await measure(peer, wanted)
            entry(sitting, peer)["rounds"].append({"began": began, "answers": answers})
            write(sitting, file)


def _listed(variable: str) -> list[str]:
    return [name for name in os.environ.get(variable, "").split(",") if name]


def main() -> None:
    sizes = QUICK if os.environ.get("QUICK") else Sizes()
    names = _listed("PEERS") or list(catalogue.NAMES)
    wanted = _listed("WORKLOADS")
    rounds = int(os.environ.get("ROUNDS") or ("1" if os.environ.get("QUICK") else "3"))
    file = RESULTS / f"{os.environ.get('INTO') or 'peers'}.json"
    try:
        peers = catalogue.peers(names, sizes)
        workloads(peers[0], wanted)
    except ValueError as error:
        sys.exit(str(error))
    RESULTS.mkdir(exist_ok=True)
    PLACE.mkdir(parents=True, exist_ok=True)
    sitting: dict[str, Any] = {"machine": machine(PLACE), "sizes": dataclasses.asdict(sizes), "peers": {}}
    if os.environ.get("ADD") and file.exists():
        before = json.loads(file.read_text())
        if before["sizes"] != json.loads(json.dumps(sitting["sizes"])):
            sys.exit(f"{file.name} was made with other sizes")
        sitting = before
    asyncio.run(sit(sitting, peers, wanted, rounds, file))
    print(f"written: {file.with_suffix('.md').relative_to(ROOT)}, .json, .svg")


if __name__ == "__main__":
    main()
