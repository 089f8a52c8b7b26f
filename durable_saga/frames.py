"""Where another thread is.

Python 3.11 can lock itself up for good in `sys._current_frames()` when its garbage collector begins to work there
(python/cpython#106883, mended in 3.12 alone). So it is asked rarely, and with the collector switched off.
"""

from __future__ import annotations

import gc
import sys
from types import FrameType


def frame_of(ident: int) -> FrameType | None:
    """What runs in the thread of this number, None where there is none. Hold it for a moment: it keeps what it refers to."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames().get(ident)
    finally:
        if collects:
            gc.enable()
