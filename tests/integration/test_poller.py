"""gRPC's thread stays when the last client is gone: it is not ended in a destructor, which may wait for good."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, gc, threading
from durable_saga import connect

def pollers():
    return [one.ident for one in threading.enumerate() if "_poll" in one.name]

async def ask():
    async with connect("127.0.0.1:9") as client:
        await asyncio.wait([asyncio.create_task(client.handle("nobody").describe())], timeout=0.2)

for _ in range(3):
    asyncio.run(ask())
    gc.collect()
    print(pollers())
"""


def test_one_poller_serves_a_process_from_first_to_last() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert lines[0] != "[]"
    assert len(set(lines)) == 1, "the same thread, and one"
