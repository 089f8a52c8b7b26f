"""A step that ends its process, with a real one: the next process counts it."""

from __future__ import annotations

import asyncio
import pathlib
import subprocess
import sys

import pytest

from durable_saga import connect
from durable_saga.errors import SagaCompensated

SCRIPT = """
import asyncio, os, sys
from durable_saga import Retry, Worker, connect, saga, step, step_context

@step(retry=Retry(max_attempts=1))
async def kills() -> int:
    if step_context().attempt == 1:
        os._exit(9)
    return step_context().attempt

@step(retry=Retry(max_attempts=1))
def exits() -> None:
    sys.exit(3)

@exits.compensation
def unexit() -> None: ...

@saga
async def poison() -> int:
    return await kills()

@saga
async def leaves() -> None:
    await exits()

async def main() -> None:
    async with connect(sys.argv[1]) as client, Worker(client, sagas=[poison, leaves]):
        for one in (leaves, poison):
            handle = await client.start(one, id=one.definition.name)
            try:
                await handle.result()
            except Exception as error:
                print(error)

asyncio.run(main())
"""


@pytest.mark.kill
def test_a_step_that_ends_its_process_is_attempted_again_by_the_next_one_which_counts_it(tmp_path: pathlib.Path) -> None:
    script, journal = tmp_path / "script.py", f"sqlite:///{tmp_path}/sagas.db"
    script.write_text(SCRIPT)
    lives = [
        subprocess.run([sys.executable, str(script), journal], timeout=100, check=False, capture_output=True, text=True)
        for _ in range(2)
    ]
    assert [life.returncode for life in lives] == [9, 0], lives[1].stderr

    async def look() -> tuple[object, str]:
        async with connect(journal) as client:
            with pytest.raises(SagaCompensated) as ended:
                await client.handle("leaves").result()
            return await client.handle("poison").result(), str(ended.value)

    result, error = asyncio.run(look())
    assert result == 2  # the attempt that was cut off did not use up the only one of its policy
    assert "builtins.SystemExit: 3" in error
