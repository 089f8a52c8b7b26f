"""OpenTelemetry as a hook: it turns on the spans and metrics of this process, and puts attributes of yours on the spans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from durable_saga.hooks import Call, GoOn, Hook
from durable_saga.telemetry.otel import instrument

Attributes = Callable[[Call], Mapping[str, str | int | float | bool]]


class OpenTelemetry(Hook):
    """`connect(url, hooks=[OpenTelemetry()])` does what `durable_saga.telemetry.otel.instrument()` does, for the whole process.
    The spans are made outside of all hooks, so what hooks do belongs to them. `attributes` gets each call and returns what its
    span is to have beside the usual: `OpenTelemetry(attributes=lambda call: {"tenant": TENANT.get()})`; what it raises is
    recorded on the span, and changes nothing. Spans of starts and messages are made within the hooks and don't get these."""

    def __init__(self, *, attributes: Attributes | None = None) -> None:
        instrument()
        self._attributes = attributes
        super().__init__(self._put)
        self.name = "OpenTelemetry"

    async def _put(self, call: Call, go_on: GoOn) -> Any:
        if self._attributes is not None and call.attempt:
            from opentelemetry.trace import get_current_span

            span = get_current_span()
            try:
                span.set_attributes(dict(self._attributes(call)))
            except Exception as error:  # it only adds to a span: the attempt goes on
                with suppress(Exception):  # the span asks the error for its text, which may raise
                    span.record_exception(error)
        return await go_on()
