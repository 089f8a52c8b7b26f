"""The client of this process, made at its first use: behind the fork of gunicorn or uWSGI, never before it."""

from __future__ import annotations

import atexit
import functools

from django.conf import settings

from durable_saga import SyncClient


@functools.cache
def client() -> SyncClient:
    """One for all threads."""
    made = SyncClient(settings.DURABLE_SAGA_URL)
    atexit.register(made.close)
    return made
