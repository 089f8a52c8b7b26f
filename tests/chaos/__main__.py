"""`make chaos`: orders and signals through two servers and three workers on three Cassandra nodes, while all of them are
killed, paused and cut off from each other, from one seed. Exits 1 when anything was lost or doubled, or does not rest."""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import sys
import time

from durable_saga import connect
from examples.demo.processes import ROOT
from tests.chaos.cell import ChaosCell
from tests.chaos.harm import Harm
from tests.chaos.registers import Registers
from tests.chaos.work import Work

FOLDER = ROOT / "var" / "chaos"
REST_SECONDS_MAX = 300.0
SAY_EVERY_SECONDS = 15.0
WRONG_SHOWN_MAX = 50


async def storm(cell: ChaosCell, seed: int, minutes: float, at_once: int, down_seconds: float) -> int:
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {words}", flush=True)

    for link in cell.links:
        await link.open()
    await asyncio.to_thread(cell.start_processes)
    async with connect(cell.url) as client:
        work, harm = Work(client, seed, at_once), Harm(cell, seed, say, down_seconds)
        began = time.monotonic()
        registers = Registers(cell, seed * 1_000_000)
        working, harming, probing = (asyncio.create_task(one.run()) for one in (work, harm, registers))
        while time.monotonic() < began + minutes * 60 and not any(one.done() for one in (working, harming, probing)):
            await asyncio.sleep(min(SAY_EVERY_SECONDS, minutes * 60))
            say(f"{work.started} sagas started, {work.ended} ended")
        harm.stop()
        await harming
        work.stop()
        registers.stop()
        say(f"calm: {work.started - work.ended} sagas are under way")
        calm = time.monotonic()
        try:
            async with asyncio.timeout(REST_SECONDS_MAX):
                await working
                await probing
        except TimeoutError:
            say(f"not at rest {REST_SECONDS_MAX:.0f} s after the storm")
        wrong = await work.wrong(cell, harm.blows) + await work.wrong_records() + registers.wrong
        say(f"at rest {time.monotonic() - calm:.1f} s after the storm")
    signals = sum(map(len, work.sent.values()))
    print(f"{work.started} sagas, {signals} signals; {dict(harm.counts)}; {dict(work.counts)}")
    print(
        f"journal: {registers.calls} calls in {registers.rounds} rounds, {registers.unsettled} without an"
        f" answer; {registers.unchecked} histories were too entangled to be decided"
    )
    for sentence in [*work.cut_off, *wrong[:WRONG_SHOWN_MAX]]:
        print(sentence)
    print(f"{len(wrong)} things are wrong: again with SEED={seed}" if wrong else "nothing lost, nothing doubled, all at rest")
    return bool(wrong)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--at-once", type=int, default=20, help="sagas of each of the two kinds under way")
    parser.add_argument("--commits", choices=("conditional", "log"), default="conditional")
    parser.add_argument("--node-down", type=float, default=0.0, metavar="MINUTES", help="one node is down for so long, once")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    shutil.rmtree(FOLDER, ignore_errors=True)
    cell = ChaosCell(FOLDER, asked.commits)
    print("starting three Cassandra nodes", flush=True)
    try:
        cell.start_nodes()
        return asyncio.run(storm(cell, asked.seed, asked.minutes, asked.at_once, asked.node_down * 60))
    finally:
        cell.stop()


if __name__ == "__main__":
    sys.exit(main())
