"""What is needed to ask a history service something: the way to it, whose sagas, and what opens sealed values."""

from __future__ import annotations

from typing import Protocol

from durable_saga.sealing.messages import Sealing
from durable_saga.transport.transport import Transport


class Asker(Protocol):
    """A client, for what only asks."""

    @property
    def transport(self) -> Transport: ...

    @property
    def namespace(self) -> str: ...

    @property
    def sealing(self) -> Sealing | None: ...
