"""What saga code reaches from where it stands: the run that it is the code of."""

from __future__ import annotations

from durable_saga.replay.loop import SagaLoop
from durable_saga.replay.run import Core
from durable_saga.replay.running_loop import running_loop


def core_here() -> Core | None:
    """None outside of saga code."""
    loop = running_loop()
    return loop.owner if isinstance(loop, SagaLoop) else None
