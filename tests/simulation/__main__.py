"""`python -m tests.simulation --seeds 1000 --seed 0`: many worlds, one process a core; says what was broken by which."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import random
import sys
import time
from contextlib import nullcontext

from tests.simulation import builds, careless, deployed, pauses
from tests.simulation.log_journal import soon
from tests.simulation.plan import Plan, make
from tests.simulation.world import Outcome, World

SAY_EVERY = 50


def play(
    seed: int, servers: int | None = None, workers: int | None = None, *, deploys: bool = False, has_logs: bool = False
) -> Outcome:  # fmt: skip
    """One world from its seed. `deploys`: with sagas whose code half of the workers have in another order. `has_logs`: as on
    Cassandra with commits=log."""
    return play_plan(seed, plan_of(seed, servers, workers, deploys=deploys), has_logs=has_logs)


def plan_of(seed: int, servers: int | None = None, workers: int | None = None, *, deploys: bool = False) -> Plan:
    """Each part draws from dice of its own: what is added to one leaves the others as they are."""
    plan = make(seed, servers, workers)
    careless.make(seed, plan)
    builds.make(seed, plan)
    if deploys:
        deployed.make(seed, plan)
    pauses.make(seed, plan)
    return plan


def play_plan(seed: int, plan: Plan, *, has_logs: bool = False) -> Outcome:
    """One world of that plan. Its seed says what chance makes of it."""
    logging.disable(logging.CRITICAL)
    try:
        with soon(random.Random(f"logs/{seed}")) if has_logs else nullcontext():
            return World(seed, plan, has_logs=has_logs).run()
    finally:
        logging.disable(logging.NOTSET)


def _play(asked: tuple[int, int | None, int | None, bool, bool]) -> tuple[int, str, float]:
    seed, servers, workers, deploys, has_logs = asked
    outcome = play(seed, servers, workers, deploys=deploys, has_logs=has_logs)
    return outcome.seed, outcome.violation, outcome.virtual_seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--servers", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--deploys", action="store_true", help="with sagas whose code half of the workers have otherwise")
    parser.add_argument("--commits", choices=("memory", "log"), default="memory", help="log: as on Cassandra with commits=log")
    parser.add_argument("--verbose", action="store_true", help="print the log of each world")
    asked = parser.parse_args()
    has_logs, named = asked.commits == "log", " COMMITS=log" if asked.commits == "log" else ""
    if asked.verbose:
        outcome = play(asked.seed, asked.servers, asked.workers, deploys=asked.deploys, has_logs=has_logs)
        print("\n".join(outcome.log), f"digest {outcome.digest}", sep="\n")
        return bool(outcome.violation)
    began, virtual, failed = time.monotonic(), 0.0, 0
    numbers = range(asked.seed, asked.seed + asked.seeds)
    seeds = [(seed, asked.servers, asked.workers, asked.deploys, has_logs) for seed in numbers]
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for done, (seed, violation, seconds) in enumerate(pool.imap_unordered(_play, seeds), 1):
            virtual += seconds
            if violation:
                failed += 1
                print(f"seed {seed}: {violation}\n  again: make simulate SEEDS=1 SEED={seed} VERBOSE=1{named}", flush=True)
            if done % SAY_EVERY == 0 or done == len(seeds):
                minutes = (time.monotonic() - began) / 60
                print(f"{done} seeds, {failed} failed, {done / minutes:.0f} a minute, {virtual / 3600:.0f} simulated hours")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
