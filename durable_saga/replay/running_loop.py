"""Which event loop runs in this thread. The public name raises where none runs, and there is none to say that another one does:
both are asyncio's own names for those who make loops, and they are taken from it here alone."""

from __future__ import annotations

import asyncio
from asyncio import events
from collections.abc import Callable

running_loop: Callable[[], asyncio.AbstractEventLoop | None] = events._get_running_loop
"""None where no loop runs."""
set_running_loop: Callable[[asyncio.AbstractEventLoop | None], None] = events._set_running_loop
