"""Spans by OpenTelemetry: one for each start and message that is sent, each stretch of saga code, each attempt of a step or
compensation. Off until `switch_on()`, and then only as far as the program has a tracer provider.

No span lives longer than what it is about, and there is none for a saga, which may live for months. All of a run have the
context of its start for their parent: it is carried in the journal as W3C `traceparent` and `tracestate`, baggage is not. What
led to a stretch from outside, a signal, is linked. A replay makes no span.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

CARRIED_BYTES_MAX = 4 * 1024
"""Of all that a start or a message carries, names included; a server refuses more."""
NAME = "durable_saga"
Attributes = Mapping[str, str | int]
_tracer: Any = None


def switch_on() -> None:
    """For this process, once. Raises ImportError without opentelemetry-api."""
    global _tracer
    from opentelemetry import trace

    _tracer = trace.get_tracer(NAME)


def switch_off() -> None:
    global _tracer
    _tracer = None


def is_on() -> bool:
    return _tracer is not None


@contextmanager
def sending(name: str, attributes: Attributes) -> Iterator[dict[str, str]]:
    """Around a start or a message that is sent; what it is to carry."""
    if _tracer is None:
        yield {}
        return
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    with _tracer.start_as_current_span(name, kind=SpanKind.PRODUCER, attributes=attributes):
        carried: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carried)
        if size_of(carried) > CARRIED_BYTES_MAX:
            carried.pop("tracestate", None)
        yield carried


def size_of(carried: Mapping[str, str]) -> int:
    """Bytes."""
    return sum(len(name.encode()) + len(value.encode()) for name, value in carried.items())


def stretch(
    name: str, carried: Mapping[str, str], began_ns: int, ended_ns: int, attributes: Attributes,
    cause: Mapping[str, str] | None = None, error: str = "",
) -> None:  # fmt: skip
    """A stretch of saga code that is over, in Unix nanoseconds. `cause` was carried by what led to it."""
    if _tracer is None:
        return
    from opentelemetry.trace import Link, get_current_span

    there = get_current_span(_context(cause)).get_span_context() if cause else None
    links = [Link(there)] if there is not None and there.is_valid else []
    span = _tracer.start_span(name, context=_context(carried), start_time=began_ns, attributes=attributes, links=links)
    if error:
        _fail(span, error)
    span.end(ended_ns)


class AttemptSpan:
    """Around the code of one attempt, in a task of its own: current in there, and for what it calls in threads."""

    def __init__(self, name: str, carried: Mapping[str, str], attributes: Attributes) -> None:
        self._name, self._carried, self._attributes = name, carried, attributes

    def __enter__(self) -> AttemptSpan:
        from opentelemetry import context
        from opentelemetry.trace import SpanKind, set_span_in_context

        parent = _context(self._carried)
        self._span = _tracer.start_span(self._name, context=parent, kind=SpanKind.CONSUMER, attributes=self._attributes)
        self._token = context.attach(set_span_in_context(self._span, context.get_current()))
        return self

    def failed(self, error: BaseException) -> None:
        """By its type alone: messages may hold what is nobody's business; the journal has them."""
        kind = type(error)
        _fail(self._span, f"{kind.__module__}.{kind.__qualname__}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        from opentelemetry import context

        if error is not None:
            self.failed(error)
        context.detach(self._token)
        self._span.end()


class NoSpan:
    """While nothing is traced."""

    def __enter__(self) -> NoSpan:
        return self

    def failed(self, error: BaseException) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


NO_SPAN = NoSpan()


def _context(carried: Mapping[str, str]) -> Any:
    """Of what was carried; an empty one where that is nothing, whatever is current here."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract(dict(carried), context=Context())


def _fail(span: Any, error: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", error)
    span.set_status(Status(StatusCode.ERROR, error))
