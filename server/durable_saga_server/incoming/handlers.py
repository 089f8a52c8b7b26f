"""The handlers of gRPC services, guarded: what can't be parsed is answered INVALID_ARGUMENT, without a line in the log.

gRPC by itself calls that UNKNOWN, and logs a traceback of ten lines for each.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from durable_saga_server.failures import MESSAGE_CHARACTERS_MAX, RETRY_AFTER, ServiceError

BROKEN_OFF = "ExecuteBatchError raised in core by servicer method"


def _is_news(record: logging.LogRecord) -> bool:
    """gRPC logs a stack for each caller that breaks off while something is written to it."""
    return not record.getMessage().startswith(BROKEN_OFF)


class Unparsed:
    """Stands for a message that is none."""

    def __init__(self, error: str) -> None:
        self.error = ServiceError("INVALID_ARGUMENT", f"this isn't a request of this call: {error}")


class Registering:
    """What generated code takes for a server, to add the methods of a service to."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server
        logging.getLogger("grpc._cython.cygrpc").addFilter(_is_news)

    def add_generic_rpc_handlers(self, _: Any) -> None:
        """The same methods come by name."""

    def add_registered_method_handlers(self, service: str, methods: dict[str, Any]) -> None:
        guarded = {name: _guarded(handler) for name, handler in methods.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, guarded),))


def _guarded(handler: Any) -> Any:
    made: Any = {
        (False, False): (grpc.unary_unary_rpc_method_handler, _unary(handler.unary_unary)),
        (False, True): (grpc.unary_stream_rpc_method_handler, _unary(handler.unary_stream)),
        (True, False): (grpc.stream_unary_rpc_method_handler, handler.stream_unary),
        (True, True): (grpc.stream_stream_rpc_method_handler, _streamed(handler.stream_stream)),
    }
    make, behaviour = made[handler.request_streaming, handler.response_streaming]
    return make(behaviour, _parse(handler.request_deserializer), handler.response_serializer)


def _parse(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parsed(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError as error:
            return Unparsed(str(error))

    return parsed


def _unary(inner: Any) -> Any:
    async def call(request: Any, context: Any) -> Any:
        if isinstance(request, Unparsed):
            await abort(context, request.error)
        return await inner(request, context)

    async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
        if isinstance(request, Unparsed):
            await abort(context, request.error)
        async for reply in inner(request, context):
            yield reply

    return stream if inspect.isasyncgenfunction(inner) else call


def _streamed(inner: Any) -> Any:
    async def stream(incoming: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        try:
            async for reply in inner(_parsed(incoming), context):
                yield reply
        except ServiceError as error:
            await abort(context, error)

    return stream


async def _parsed(incoming: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Raises ServiceError."""
    async for frame in incoming:
        if isinstance(frame, Unparsed):
            raise frame.error
        yield frame


async def abort(context: Any, error: ServiceError) -> None:
    again = ((RETRY_AFTER, str(error.retry_after_ms)),) if error.retry_after_ms else ()
    text = error.message.encode(errors="backslashreplace").decode()[:MESSAGE_CHARACTERS_MAX]
    await context.abort(grpc.StatusCode[error.code], text, again)
