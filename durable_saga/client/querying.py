"""Queries from outside: answered in this process where it has the code of the saga, else by a worker."""

from __future__ import annotations

import asyncio
import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ParamSpec, Protocol, TypeVar, TypeVarTuple, Unpack, overload

from durable_saga import codec
from durable_saga.authoring.query import QUERY_NAME, QUERY_OF
from durable_saga.client import raw
from durable_saga.client.asking import Asker
from durable_saga.client.sending import text
from durable_saga.definition.definition import SagaDefinition, signature_of
from durable_saga.definition.retry import to_ms
from durable_saga.errors import ClientError, InvalidArgument, NotAnswered, QueryFailed
from durable_saga.failures.failures import failure_from_exception, rebuild_exception
from durable_saga.failures.remade import failure_info
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb import worker_pb2 as w
from durable_saga.queries.asking import Asking
from durable_saga.queries.looking import Question, encoded_args, query_of
from durable_saga.sealing.messages import check_open

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
QUERY_SECONDS = 10.0
"""In which a query is answered, unless the caller says otherwise."""


class QueryingClient(Asker, Protocol):
    @property
    def asking(self) -> Asking: ...


class Queried(ABC):
    """What a handle can ask."""

    _client: QueryingClient
    _definition: SagaDefinition | None

    @property
    @abstractmethod
    def _key(self) -> h.RunKey:
        """Of the run that is asked."""

    @overload
    async def query(self, query: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    async def query(
        self, query: Callable[[Unpack[Ts]], T], /, *args: *Ts, timeout: float | timedelta = QUERY_SECONDS
    ) -> T: ...  # fmt: skip
    @overload
    async def query(self, query: str, /, *args: Any, timeout: float | timedelta = QUERY_SECONDS, **kwargs: Any) -> Any: ...
    async def query(  # type: ignore[misc]  # a query's own `timeout` is refused at the declaration
        self, query: Any, /, *args: Any, timeout: float | timedelta = QUERY_SECONDS, **kwargs: Any
    ) -> Any:  # fmt: skip
        """Ask a query of the saga: `await handle.query(total, "EUR")`. It sees what the saga has committed, in any status, and
        changes nothing. If this process has the code of the saga (the query is given as a function, or this handle has the
        saga), it is answered here; else by a worker that has it. If the code does not fit the history, the answer is made from
        the state as of the last commit, and a warning in the log says so. Raises QueryFailed with what the query raised,
        NotAnswered if nobody can answer, InvalidArgument for an unknown query and for arguments that it can't take, and
        TimeoutError after `timeout` (seconds or a timedelta)."""
        seconds = to_ms(timeout, name="timeout") / 1000
        name, definition = _resolved(query, self._definition)
        data = encoded_args(None if definition is None else query_of(definition, name), name, args, kwargs)
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                if definition is not None:
                    return await _here(self._client, self._key, Question(definition, name, data), seconds)
                return await _elsewhere(self._client, self._key, name, data, query, seconds)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TimeoutError(f"the query {name!r} of saga {self._key.saga!r} was not answered in {seconds:g} s") from error


def _resolved(query: Any, definition: SagaDefinition | None) -> tuple[str, SagaDefinition | None]:
    """Its name, and the definition of the saga where the code is here. Raises InvalidArgument."""
    if isinstance(query, str):
        return text("query", query), definition
    if not (name := getattr(query, QUERY_NAME, "")):
        raise InvalidArgument(f"{query!r} isn't a query: declare it with @saga_function.query, or give a name")
    return name, definition or getattr(query, QUERY_OF, None)


async def _here(client: QueryingClient, key: h.RunKey, question: Question, seconds: float) -> Any:
    page, events = await raw.events_page(client, key, 0), list[h.Event]()
    key = page.key
    while page.events and not page.damaged:
        events += page.events
        page = await raw.events_page(client, key, page.next_seq)
    if page.damaged or not events:
        raise NotAnswered(f"the history of saga {key.saga!r} can't be read: {page.damaged or 'it is empty'}")
    answer = await client.asking.ask(question, w.Assign(key=key, events=events), seconds)
    if answer.note:
        log.warning("query %s of saga %s: %s", question.name, key.saga, answer.note)
    if answer.error is None:
        return answer.value
    if not answer.is_of_query:
        raise answer.error
    raise _failed(key.saga, question.name, failure_from_exception(answer.error), answer.error)


async def _elsewhere(
    client: Asker, key: h.RunKey, name: str, data: bytes, query: Any, seconds: float
) -> Any:  # fmt: skip
    annotation = Any if isinstance(query, str) else signature_of(query).return_annotation
    reply = await ask_worker(client, key, name, data, seconds)
    if reply.note:
        log.warning("query %s of saga %s: %s", name, key.saga, reply.note)
    if reply.HasField("failure"):
        error = rebuild_exception(reply.failure, step=name, call="")
        raise _failed(key.saga, name, reply.failure, error)
    annotation = Any if annotation is inspect.Signature.empty else annotation
    return codec.decode(reply.result.data, annotation, where=f"answer of query {name}")


async def ask_worker(client: Asker, key: h.RunKey, name: str, data: bytes, seconds: float) -> c.QueryReply:
    """The answer, opened. Raises NotAnswered, and what a client raises."""
    request = c.QueryRequest(key=key, name=name, input=p.Payload(data=data), timeout_ms=round(seconds * 1000))
    reply: c.QueryReply = await client.transport.call("query", request)
    if reply.refused:
        raise NotAnswered(reply.refused)
    if reply.HasField("result"):
        await raw.fill(client, reply.key, reply.result)
        check_open(client.sealing, reply.key, reply.result)
    return reply


def _failed(saga: str, name: str, failure: p.Failure, cause: BaseException) -> ClientError:
    error = QueryFailed(f"the query {name!r} of saga {saga!r} raised {failure.type}: {failure.message}", failure_info(failure))
    error.__cause__ = cause
    return error
