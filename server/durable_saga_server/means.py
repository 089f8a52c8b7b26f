"""What most parts of a server work with: one value, so that each of them need not list it. It knows none of the parts."""

from __future__ import annotations

from dataclasses import dataclass

from durable_saga_server.clock import Clock, Ids
from durable_saga_server.config import Config
from durable_saga_server.journal import Journal


@dataclass(frozen=True, slots=True)
class Means:
    journal: Journal
    clock: Clock
    ids: Ids
    config: Config
