"""Queries that a server has this worker answer: of runs that it need not own. It replays the history that comes with each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from durable_saga import codec
from durable_saga.definition.definition import SagaDefinition
from durable_saga.errors import InvalidArgument, NotAnswered
from durable_saga.failures.failures import failure_from_exception
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.limits import QUERY_ANSWER_BYTES_MAX
from durable_saga.queries.asking import Asking
from durable_saga.queries.looking import Answer, Question, said
from durable_saga.replay.definitions import Definitions
from durable_saga.sealing.messages import Sealing, hidden_reason
from durable_saga.sealing.payload_codec import Subject
from durable_saga.transport.fetching import Fetch
from durable_saga.worker.links import Stream

TEXT_CHARACTERS_MAX = 3_000


class Answering:
    """Owned by a worker. `definitions` gives the sagas that it has now."""

    def __init__(
        self, definitions: Callable[[], Mapping[str, SagaDefinition]], known: Definitions, fetch: Fetch, sealing: Sealing | None
    ) -> None:  # fmt: skip
        self._definitions, self._known, self._sealing = definitions, known, sealing
        self._asking = Asking(fetch, sealing)
        self._parts: dict[tuple[Stream, int], w.AskedQuery] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def asked(self, stream: Stream, query: w.AskedQuery) -> None:
        if (part := self._parts.pop(key := (stream, query.number), None)) is not None:
            part.more = False
            part.MergeFrom(query)
            query = part
        if query.more:
            self._parts = {one: part for one, part in self._parts.items() if one[0].is_up}
            self._parts[key] = query
            return
        task = asyncio.create_task(self._answer(stream, query), name="saga-query")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _answer(self, stream: Stream, query: w.AskedQuery) -> None:
        found = w.QueryAnswer(number=query.number)
        subject, definition = Subject(query.key.namespace, query.key.saga), self._definitions().get(query.saga_type)
        try:
            if definition is None:
                found.refused = f"this worker has no saga {query.saga_type!r}"
            else:
                if self._sealing is not None:
                    self._sealing.open(query.input, subject)
                question = Question(definition, query.name, query.input.data, self._known)
                assign = w.Assign(key=query.key, events=query.events)
                self._fill(found, query, await self._asking.ask(question, assign, query.timeout_ms / 1000))
            if self._sealing is not None:
                self._sealing.seal(found, subject)
        except Exception as error:  # a codec may raise anything, and what is no value can't be sent
            found = w.QueryAnswer(number=query.number, refused=self._told(error, query))
        stream.send(w.WorkerItem(answer=found))

    def _fill(self, found: w.QueryAnswer, query: w.AskedQuery, answer: Answer) -> None:
        if answer.note:
            found.note = hidden_reason(self._sealing, answer.note, RuntimeError(), query.key)
        if answer.error is None:
            data = codec.encode(answer.value, where=f"answer of query {query.name}")
            if len(data) > QUERY_ANSWER_BYTES_MAX:
                found.refused = (
                    f"the answer of query {query.name!r} has {len(data)} bytes; QUERY_ANSWER_BYTES_MAX is"
                    f" {QUERY_ANSWER_BYTES_MAX}: ask for less, or ask in a process that has the code"
                )
                return
            found.result.data = data
        elif answer.is_of_query:
            found.failure.CopyFrom(failure_from_exception(answer.error))
        elif isinstance(answer.error, InvalidArgument):
            found.invalid = str(answer.error)[:TEXT_CHARACTERS_MAX]
        elif isinstance(answer.error, NotAnswered):
            found.refused = hidden_reason(self._sealing, str(answer.error)[:TEXT_CHARACTERS_MAX], answer.error, query.key)
        else:
            found.refused = self._told(answer.error, query)

    def _told(self, error: BaseException, query: w.AskedQuery) -> str:
        """It may tell values."""
        return hidden_reason(self._sealing, said(error)[:TEXT_CHARACTERS_MAX], error, query.key)
