"""Sentry as a hook: a failed attempt becomes an event, with its saga, step and attempt, and with its own breadcrumbs alone.

Needs the extra `sentry`. What Sentry gets of an error is up to its own options, local variables included.
"""

from __future__ import annotations

import asyncio
from typing import Any

from durable_saga.hooks import Call, GoOn, Hook

NEEDS = "Sentry() needs a package: `pip install 'durable-saga[sentry]'`"


class Sentry(Hook):
    """`Worker(client, sagas=[…], hooks=[Sentry()])`, after `sentry_sdk.init()`. An attempt of a step or compensation that fails
    for good is reported. One that is tried again is a breadcrumb of nothing and is not, unless `each_attempt=True`. A
    compensation is tried again without end by default, so its first failure is reported, and then each attempt that is a power
    of two: 1, 2, 4, 8 and so on. What the saga's code does with a failure, catch it or fail, makes no difference. Cancellations
    are no failures; time-outs are. Errors of starts and messages reach their caller, who reports them.

    Events are grouped by the kind of error and its place, as always. Raises ImportError without sentry-sdk."""

    def __init__(self, *, each_attempt: bool = False) -> None:
        try:
            import sentry_sdk
        except ImportError as error:
            raise ImportError(f"{error}: {NEEDS}") from error
        self._sdk = sentry_sdk
        self._each_attempt = each_attempt
        super().__init__(self._report)
        self.name = "Sentry"

    async def _report(self, call: Call, go_on: GoOn) -> Any:
        if not call.attempt:
            return await go_on()
        with self._sdk.isolation_scope() as scope:
            scope.set_transaction_name(f"{call.kind} {call.name}", source="task")
            for name, value in _tags(call).items():
                scope.set_tag(f"durable_saga.{name}", value)
            scope.set_context("durable_saga", {**_tags(call), "run": call.run, "call": call.call, "attempt": call.attempt})
            try:
                return await go_on()
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                if self._is_to_be_told(call, error):
                    self._sdk.capture_exception(error)
                raise

    def _is_to_be_told(self, call: Call, error: BaseException) -> bool:
        if self._each_attempt or not call.is_tried_again(error):
            return True
        return call.kind == "compensation" and call.attempt & (call.attempt - 1) == 0


def _tags(call: Call) -> dict[str, str]:
    """By which Sentry finds events again."""
    return {
        "namespace": call.namespace, "saga": call.saga, "saga_type": call.saga_type, call.kind: call.name,
    }  # fmt: skip
