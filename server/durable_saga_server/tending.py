"""The loops of an engine. One that ended by a mistake would be missed by nobody: no error, only sagas that stand still.

What a loop expects to fail, it handles itself. Anything else goes to the event loop's exception handler, which logs it with
its stack unless the program has set another one, and the loop begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from durable_saga_server.clock import Clock

BEGIN_ANEW_SECONDS = 1.0
MISTAKE = "a bug in durable_saga, please report it"


def tend(name: str, loop: Callable[[], Awaitable[None]], clock: Clock) -> asyncio.Task[None]:
    """A task that runs `loop` until it is cancelled."""

    async def tended() -> None:
        while True:
            try:
                await loop()
            except Exception as error:
                mistake(f"{name} starts again", error)
            await clock.sleep(BEGIN_ANEW_SECONDS)

    return asyncio.create_task(tended(), name=name)


def mistake(what: str, error: Exception) -> None:
    """Tell whoever looks after this process: nobody waits for an answer to which the error could go."""
    text = f"{MISTAKE} ({what}): {type(error).__name__}: {error}"
    asyncio.get_running_loop().call_exception_handler({"message": text, "exception": error})
