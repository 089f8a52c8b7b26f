"""The logs that this process writes: one at a time, the earlier ones until nothing in them counts any more; and those of the dead.

A log is bounded by its size and its age. Runs that are at work move to the next one with their next commit, the others are moved
by `tend()`. A log that no head names goes as a whole. That of a process that has not been heard of for DEAD_MS is closed first.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING

from durable_saga_server.clock import Clock
