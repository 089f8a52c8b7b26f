"""Pauses of all runs of a type: a switch that every server of the journal sees."""

from __future__ import annotations

from durable_saga.pb import client_pb2 as c
from durable_saga_server.failures import check_name, guard_journal
from durable_saga_server.means import Means
from durable_saga_server.workers.paused_types import PausedTypes


class Pausing:
    """Every call raises ServiceError."""

    def __init__(self, means: Means, paused: PausedTypes) -> None:
        self._clock = means.clock
        self._config = means.config
        self._paused = paused

    @guard_journal
    async def pause_type(self, request: c.PauseTypeRequest) -> c.PauseTypeReply:
        self._check(request)
        pause = c.Pause(who=request.who, reason=request.reason, since_ms=self._clock.now_ms(), saga_type=request.saga_type)
        return c.PauseTypeReply(changed=await self._paused.set(request.namespace, pause))

    @guard_journal
    async def resume_type(self, request: c.ResumeTypeRequest) -> c.PauseTypeReply:
        self._check(request)
        return c.PauseTypeReply(changed=await self._paused.clear(request.namespace, request.saga_type))

    def _check(self, request: c.PauseTypeRequest | c.ResumeTypeRequest) -> None:
        check_name("namespace", request.namespace, self._config.id_characters_max)
        check_name("saga type", request.saga_type, self._config.id_characters_max)
