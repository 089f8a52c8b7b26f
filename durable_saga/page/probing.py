"""`/livez` and `/readyz` of the page, for whoever looks after its process, and how long its requests take.

They are answered before hosts and log-in are looked at, and tell nothing but a reason. The page is ready while its server
answers, whatever it answers: a page where everybody logs in has no rights of its own. A look at the server counts for
READY_SECONDS, however often somebody asks.
"""

from __future__ import annotations

import asyncio

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from durable_saga.client.client import Client
from durable_saga.errors import DurableSagaError, Unavailable
from durable_saga.machine import Machine
from durable_saga.telemetry.catalogue import PAGE_REQUESTS

READY_SECONDS = 2.0
ANSWER_SECONDS_MAX = 3.0
_METHODS = ("GET", "HEAD", "POST")


class Probed:
    def __init__(self, app: ASGIApp, client: Client) -> None:
        self._app = app
        self._client = client
        self._reason, self._looked = "", 0.0
        self._looking = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in ("/livez", "/readyz"):
            reason = await self._not_ready() if scope["path"] == "/readyz" else ""
            await PlainTextResponse(f"{reason or 'ok'}\n", 503 if reason else 200)(scope, receive, send)
            return
        began, status = Machine.monotonic(), "500"

        async def measured(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, measured)
        finally:
            method = str(scope.get("method", ""))
            PAGE_REQUESTS.record(Machine.monotonic() - began, method if method in _METHODS else "other", status)

    async def _not_ready(self) -> str:
        async with self._looking:
            if not self._looked or Machine.monotonic() - self._looked > READY_SECONDS:
                self._reason = await self._look()
                self._looked = Machine.monotonic()
            return self._reason

    async def _look(self) -> str:
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                await self._client.statistics()
        except TimeoutError:
            return f"the server has not answered within {ANSWER_SECONDS_MAX:.0f} s"
        except Unavailable as error:
            return f"the server can't be reached: {error}"
        except DurableSagaError:
            return ""  # it said no, so it is there
        except Exception as error:  # a journal in this process, say
            return f"{type(error).__name__}: {error}"
        return ""
