"""Start sagas, send them messages, wait for them. One interface for a server far away and the engine in this process."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Generic, Literal, ParamSpec, TypeVar, TypeVarTuple, Unpack, overload

from durable_saga import codec, errors, redaction
from durable_saga.authoring.event_type import EventType
from durable_saga.authoring.saga import SagaFunction
from durable_saga.client import raw
from durable_saga.client.builds import Build, RollOut, builds_of, roll_out_request, rolled_out
from durable_saga.client.description import Description, HistoryEvent, Identity, description_of, event_of, identity_of
from durable_saga.client.endings import error_of
from durable_saga.client.listing import Filters, Listed, ListPage, listed, page_of_rows, rows
from durable_saga.client.outgoing import sent
from durable_saga.client.overview import Overview, Statistics, Trouble, overview_of, time_of, trouble_of
from durable_saga.client.querying import Queried
from durable_saga.client.sending import SignalHandler, checked_signal, named_event, sender, text, words
from durable_saga.client.starting import StartOptions, check_same, options_in, request_of, restarted
from durable_saga.client.watching import WATCH_SECONDS, changes
from durable_saga.client.working import Workers, workers_of
from durable_saga.clock import Chance, SystemChance
from durable_saga.declared.compiled import function_of
from durable_saga.declared.declarative import AnySaga, Saga
from durable_saga.definition.definition import SagaDefinition
from durable_saga.definition.retry import to_ms
from durable_saga.hooks import Hook, checked
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.queries.asking import Asking
from durable_saga.replay.carrying import Carry
from durable_saga.sealing.messages import Sealing, check_open
from durable_saga.sealing.payload_codec import PayloadCodec
from durable_saga.sealing.transport import SealingTransport
from durable_saga.transport.transport import Transport

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
WAIT_MS = 20_000


class Handle(Queried, Generic[R]):
    """One saga, by its id: its newest run, or the earlier run `run`. Every method raises NotFound and Unavailable. The
    history keeps `who` with the reason; by default it is the user of this process. `already_started` is true if the start
    that returned this handle found the saga already started with the same arguments; `waits_for` says why a saga that was
    started can't begin yet, and is empty if nothing is known; `starts_at` is when one will begin that begins later."""

    def __init__(
        self, client: Client, saga: str, definition: SagaDefinition | None = None, run: int = 0, *,
        already_started: bool = False, waits_for: str = "", starts_at: datetime | None = None,
    ) -> None:  # fmt: skip
        self._client: Client = client
        self._result_type = definition.result_type if definition is not None else Any
        self._definition = definition
        self._run = run
        self.id = text("id", saga)
        self.already_started = already_started
        self.waits_for = waits_for
        self.starts_at = starts_at

    @property
    def _key(self) -> h.RunKey:
        return h.RunKey(namespace=self._client.namespace, saga=self.id, run=self._run)

    def _message_id(self) -> str:
        return self._client.chance.new().hex()

    async def result(self, timeout: float | timedelta | None = None) -> R:
        """Wait for the end of the saga (of its last run, if it continues in new runs) and return the result. Raises
        TimeoutError after `timeout` seconds, while the saga goes on. Raises SagaFailed, SagaCompensated, SagaCancelled,
        SagaTerminated, SagaStuck or SagaHeld, with the cause and the user's traceback."""
        async with asyncio.timeout(None if timeout is None else to_ms(timeout, name="timeout") / 1000):
            key = self._key
            while True:
                found = await self._client.transport.call("wait", c.WaitRequest(key=key, wait_ms=WAIT_MS, outcome=True))
                if found.status == h.CONTINUED:
                    key.run = 0
                if found.status == h.COMPLETED:
                    await raw.fill(self._client, found.key, found.result)
                    check_open(self._client.sealing, found.key, found.result)
                    return await codec.decode_aside(found.result.data, self._result_type, where="result")  # type: ignore[no-any-return]
                if (error := error_of(self.id, found)) is not None:
                    raise error

    async def describe(self, *, large: bool = True) -> Description:
        """Everything about the saga: status, steps, compensations, owner, times. Without `large`, a sentence stands in place
        of a value above 16 KiB."""
        return description_of(await raw.describe(self, large=large))

    async def overview(self) -> Overview:
        """A summary: status, current step, completed and compensated steps, state, error, times. Raises as describe() does."""
        return overview_of(await raw.describe(self))

    def watch(self, *, interval: float | timedelta = WATCH_SECONDS) -> AsyncIterator[Overview]:
        """`async for found in handle.watch():` gives the overview now, and again each time it has changed, until the saga has
        ended (in its last run, if it continues in new runs). The end comes at once. Other changes come within `interval`
        (seconds); several changes within one interval come as one. A message counts as a change when the saga takes it.
        Raises ValueError for a wrong interval."""
        return changes(self._client, self._key, interval)

    async def state(self) -> dict[str, Any]:
        """What the saga has set with `state.set()`, as of its last commit. Raises MissingKey if a value stays sealed."""
        found = await raw.describe(self)
        for payload in found.state.values():
            check_open(self._client.sealing, found.key, payload)
        return overview_of(found).state

    async def history(self) -> list[HistoryEvent]:
        """All events of the run, oldest first, with their large values."""
        return [event_of(one) for one in await raw.history(self)]

    async def history_page(self, from_seq: int = 0, *, limit: int = 0, large: bool = True) -> list[HistoryEvent]:
        """The events from `from_seq` on, at most `limit` (0: as many as the server gives at once). Empty after the last
        event. Without `large`, a sentence stands in place of a value above 16 KiB."""
        return [event_of(one) for one in await raw.history_page(self, from_seq, limit=limit, large=large)]

    @overload
    async def signal(self, signal: EventType[None], /, *, message_id: str | None = None) -> None: ...
    @overload
    async def signal(self, signal: EventType[T], value: T, /, *, message_id: str | None = None) -> None: ...
    @overload
    async def signal(self, signal: str | SignalHandler, /, *args: Any, message_id: str | None = None) -> None: ...
    async def signal(
        self, signal: str | SignalHandler | EventType[Any], /, *args: Any, message_id: str | None = None
    ) -> None:  # fmt: skip
        """Send a message, by its name, its handler (`handle.signal(cart.add, 7)`) or its type. The message is durable when
        this returns. If you give a `message_id` of your own, a repeated message takes effect once. Raises AlreadyEnded.
        Raises InvalidArgument for arguments that the handler can't take (if the handler is given, or this handle has the
        saga's code and a handler of that name), and for a name that no handler of that saga has and no code here waits for."""
        name, data = checked_signal(signal, args, self._definition)
        once = text("message_id", message_id or self._message_id())
        request = c.SignalRequest(key=self._key, message_id=once, name=name, input=p.Payload(data=data))
        await sent(self._client, "signal", request, name, self.id, args)

    async def cancel(self, reason: str = "", *, who: str | None = None) -> str:
        """Ask the saga to stop. It then undoes what it did and ends as CANCELLED. The request is durable when this returns;
        until it takes effect, `describe()` shows it. Returns why the saga is blocked, or "" if it is not: a blocked saga is
        undone from its journal, without its code. Raises AlreadyEnded, also for a saga that is already unwinding or past its
        pivot."""
        return await self._ask("cancel", c.CancelRequest, reason, who)

    async def compensate(self, reason: str = "", *, who: str | None = None) -> str:
        """Stop forward work and undo what the saga did; it ends as COMPENSATED. Returns and raises as cancel() does."""
        return await self._ask("compensate", c.CompensateRequest, reason, who)

    async def recover(self, reason: str = "", *, who: str | None = None) -> str:
        """Continue a held saga from its failed step; the results so far are kept. Returns as cancel() does. Raises
        AlreadyEnded if the saga is not held."""
        return await self._ask("recover", c.RecoverRequest, reason, who)

    async def pause(self, reason: str = "", *, who: str | None = None, clocks: Literal["run", "stop"] = "run") -> str:
        """Let nothing of the saga begin until `resume()`: no step, no further attempt, no compensation. What is under way
        ends. `clocks="stop"` lets its timers and its time-out stand meanwhile. The request is durable when this returns.
        Returns why it can't take effect yet, or "". Raises AlreadyEnded, and InvalidArgument for other `clocks`."""
        if clocks not in ("run", "stop"):
            raise errors.InvalidArgument(f"clocks is {clocks!r}: use 'run' or 'stop'")
        return await self._ask("pause", c.PauseRequest, reason, who, stop_clocks=clocks == "stop")

    async def resume(self, reason: str = "", *, who: str | None = None) -> str:
        """End a pause. Returns as cancel() does. Raises AlreadyEnded, also for a saga that is not paused itself."""
        return await self._ask("resume", c.ResumeRequest, reason, who)

    async def retry_now(self, reason: str = "", *, who: str | None = None) -> str:
        """Begin at once every attempt of a step or compensation that waits for the end of its back-off, and try a blocked saga
        again. The history keeps who and why if something waited. Returns why the saga was blocked, or why it can't go on now,
        or "". Raises AlreadyEnded."""
        return await self._ask("retry_now", c.RetryNowRequest, reason, who)

    async def restart(self, reason: str = "", *, who: str | None = None) -> int:
        """Begin an ended saga again under its id: a new run with the same arguments, search attributes and time-out, with
        today's code and new idempotency keys. What the run before did stays as it is. Returns the number of the new run.
        Raises AlreadyEnded, with what to do, for a saga that has not ended, and NotFound after a purge."""
        return await restarted(self._client, self._key, self._message_id(), words(reason, who))

    async def terminate(self, reason: str = "", *, who: str | None = None) -> None:
        """End the saga now, without undoing anything. Raises AlreadyEnded."""
        await self._client.transport.call("terminate", c.TerminateRequest(key=self._key, **words(reason, who)))

    async def retry_compensation(self, call: str | int, note: str = "", *, who: str | None = None) -> None:
        """Try a stuck compensation again. `call` is its number in describe(). Raises NotFound for a call without a
        compensation, and AlreadyEnded if the compensation is not stuck or the saga has ended."""
        await self._decide(call, h.CompensationDecided.RETRY, note, who)

    async def skip_compensation(self, call: str | int, note: str = "", *, who: str | None = None) -> None:
        """Give up a compensation; the history shows it as skipped. Raises NotFound for a call without a compensation, and
        AlreadyEnded if the compensation is not part of an unwind or already has an outcome."""
        await self._decide(call, h.CompensationDecided.SKIP, note, who)

    async def resolve_compensation(self, call: str | int, note: str, *, who: str | None = None) -> None:
        """Record that a compensation was done by hand, and how: `note` can't be empty (InvalidArgument). Raises as
        `skip_compensation()` does."""
        await self._decide(call, h.CompensationDecided.RESOLVE, note, who)

    async def _ask(self, call: str, kind: Callable[..., Any], reason: str, who: str | None, **more: Any) -> str:
        """By a message. Returns why it can't take effect yet, or ""."""
        request = kind(key=self._key, message_id=self._message_id(), **words(reason, who), **more)
        return str((await self._client.transport.call(call, request)).waits_for)

    async def _decide(self, call: str | int, verb: h.CompensationDecided.Verb, note: str, who: str | None) -> None:
        note, who = text("note", note), text("who", who or sender())
        decision = h.CompensationDecided(
            message_id=self._message_id(), call=text("call", str(call)), verb=verb, note=note, who=who
        )
        await self._client.transport.call("decide", c.DecideRequest(key=self._key, decision=decision))


class Client:
    """A connection to servers or a journal. `connect()` makes one; it is an async context manager."""

    def __init__(
        self, transport: Transport, *, namespace: str = "default", chance: Chance | None = None,
        saga_timeout: float | timedelta | None = None, converters: codec.Converters | None = None,
        payload_codec: PayloadCodec | None = None, redact: redaction.Redact | None = None, hooks: Sequence[Hook] = (),
        carry: Sequence[ContextVar[Any]] = (),
    ) -> None:  # fmt: skip
        """`payload_codec` seals what leaves this client and its workers (docs/encryption.md). `redact` removes secrets from
        failures and log lines, in the whole process (docs/security.md). `hooks` are around each start and message that this
        client sends, and around each attempt of steps and compensations of its workers. `carry` names the ContextVars whose
        values go with what this client sends, and are set in the sagas and steps of its workers (docs/hooks.md). `saga_timeout`
        (seconds or a timedelta) is for sagas that declare none. `converters={Money: (to, from)}` lets values of your own type
        be journaled: `to` turns such a value into plain data, `from` turns the data back into a value. A third item is the
        name in the journal; by default it is that of the class. Converters apply to the whole process. Raises TypeError and
        ValueError for any other mapping, and TypeError for what is no hook."""
        self.hooks, self.carry = checked(hooks), Carry(carry)
        codec.register(converters or {})
        redaction.use(redact)
        self.sealing = Sealing(payload_codec) if payload_codec is not None else None
        self.transport = transport if self.sealing is None else SealingTransport(transport, self.sealing)
        self._default_timeout_ms = 0 if saga_timeout is None else to_ms(saga_timeout, name="saga_timeout")
        self.namespace = text("namespace", namespace)
        self.chance = chance or SystemChance()
        self.asking = Asking(partial(raw.fetch, self), self.sealing)

    async def identify(self) -> Identity:
        """Who this client is to the server, and what it may do. Raises NotKnown."""
        return identity_of(await raw.identify(self))

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection, and the engine if it runs in this process. Sagas are not changed."""
        await self.transport.close()

    @overload
    async def start(self, saga: SagaFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]: ...
    @overload
    async def start(
        self, saga: Callable[[Unpack[Ts]], Coroutine[Any, Any, R]], /, *args: *Ts, **options: Unpack[StartOptions]
    ) -> Handle[R]: ...
    @overload
    async def start(self, saga: str | Saga | type[Saga], /, *args: Any, **kwargs: Any) -> Handle[Any]: ...
    async def start(self, saga: Any, /, *args: Any, **kwargs: Any) -> Handle[Any]:  # type: ignore[misc]  # options are taken by name
        """Start a saga. The saga is durable when this returns. The options are those of StartOptions: `id`, `timeout`,
        `after` or `at`, `if_exists`, `window` and `memo`. If you give an option, type checkers want the saga's own
        arguments by place. A second start of an id with the same arguments returns the first run (`handle.already_started`);
        its other options do not count. Raises AlreadyStarted if the id belongs to a saga of another type or with other
        arguments, TypeError if the arguments don't fit the parameters, InvalidArgument for an option that means nothing and
        if an argument does not have its parameter's type (a start by name can't check this), NotSerializable, and ValueError
        for bad values of the saga's `attributes=`."""
        options = options_in(saga, kwargs)
        request, definition = request_of(self.namespace, saga, args, kwargs, options)
        name, request.start_id = request.saga_type, self.chance.new()
        request.saga = request.saga or (self.chance.new().hex() if options.get("id") is None else "")
        request.default_timeout_ms = self._default_timeout_ms
        reply = await sent(self, "start", request, name, request.saga, args, kwargs)
        if reply.already_started:
            await check_same(self, request, reply, definition.signature if definition is not None else None)
        return Handle(
            self, request.saga, definition, already_started=reply.already_started, waits_for=reply.waits_for,
            starts_at=time_of(reply.starts_ms),
        )  # fmt: skip

    @overload
    def handle(self, id: str, saga: None = None, *, run: int = 0) -> Handle[Any]: ...
    @overload
    def handle(self, id: str, saga: SagaFunction[P, R], *, run: int = 0) -> Handle[R]: ...
    @overload
    def handle(self, id: str, saga: Saga | type[Saga], *, run: int = 0) -> Handle[Any]: ...
    def handle(self, id: str, saga: AnySaga | None = None, *, run: int = 0) -> Handle[Any]:
        """A handle of a saga that was started before. Give the saga function too, to get the result as its type. `run` is the
        number of one run of a saga that continued in new runs; 0 is the newest."""
        return Handle(self, id, function_of(saga).definition if saga is not None else None, run)

    @overload
    async def publish(
        self, event: EventType[None], /, *, saga: str | None = None, key: str | None = None, message_id: str | None = None
    ) -> int: ...
    @overload
    async def publish(
        self, event: EventType[T], value: T, /, *, saga: str | None = None, key: str | None = None,
        message_id: str | None = None,
    ) -> int: ...  # fmt: skip
    @overload
    async def publish(
        self, event: str, /, *args: Any, saga: str | None = None, key: str | None = None, message_id: str | None = None
    ) -> int: ...
    async def publish(
        self, event: str | EventType[Any], /, *args: Any, saga: str | None = None, key: str | None = None,
        message_id: str | None = None,
    ) -> int:  # fmt: skip
        """Publish an event to one saga, by its id, or to every open saga that declared the correlation key. The event is
        durable when this returns, and kept for a saga that does not wait for it yet. If you give a `message_id` of your own,
        a repeated event takes effect once. Returns how many sagas got the event. Raises NotFound and AlreadyEnded, and
        InvalidArgument unless exactly one of `saga` and `key` is given."""
        name, data = named_event(event, args)
        request = c.PublishRequest(
            namespace=self.namespace, event=name, saga=text("saga", saga or ""),
            correlation_key=text("key", key or ""), message_id=text("message_id", message_id or self.chance.new().hex()),
            input=p.Payload(data=data),
        )  # fmt: skip
        return int((await sent(self, "publish", request, name, request.saga, args)).delivered)

    async def pause(self, *, type: str, reason: str = "", who: str | None = None) -> bool:
        """Let nothing begin of all sagas of a type, until `resume()`. Starts are accepted and wait. Whether it was not paused
        before; if it was, the new reason counts. All servers know it within seconds (docs/pausing.md)."""
        asked = c.PauseTypeRequest(namespace=self.namespace, saga_type=text("type", type), **words(reason, who))
        return bool((await self.transport.call("pause_type", asked)).changed)

    async def resume(self, *, type: str, reason: str = "", who: str | None = None) -> bool:
        """End the pause of a type. Whether it was paused. A saga that is paused itself stays so."""
        asked = c.ResumeTypeRequest(namespace=self.namespace, saga_type=text("type", type), **words(reason, who))
        return bool((await self.transport.call("resume_type", asked)).changed)

    async def builds(self) -> Sequence[Build]:
        """The builds of code, with their workers, open sagas and shares of the new ones. Eventually consistent."""
        return builds_of(await self.transport.call("builds", c.BuildsRequest(namespace=self.namespace)))

    async def roll_out(
        self, build: str | None, *, share: float = 1.0, type: str = "", reason: str = "", who: str | None = None
    ) -> RollOut:  # fmt: skip
        """Let a `share` (0 to 1) of all new sagas begin with a build, or of those of one `type`; `build=None` ends that. All
        servers know it within seconds (docs/builds.md). Raises InvalidArgument, also for a build that nobody knows."""
        asked = roll_out_request(self.namespace, build or "", share, type, words(reason, who))
        return rolled_out(asked, await self.transport.call("roll_out", asked))

    async def statistics(self) -> Statistics:
        """How many sagas of each type are in each status. Eventually consistent, from rows that the journal maintains."""
        return Statistics.of(await self.transport.call("statistics", c.StatisticsRequest(namespace=self.namespace)))

    async def trouble(self) -> builtins.list[Trouble]:
        """The open sagas that may need a person (retrying, blocked, stuck, held, paused), in groups of one type, state, step
        and type of failure, the largest first. From counts that the journal maintains, or bounded: docs/listing.md."""
        return trouble_of(
            await self.transport.call("statistics", c.StatisticsRequest(namespace=self.namespace, standings_alone=True))
        )

    async def workers(self) -> Workers:
        """Who is connected and what each does, and which types of sagas have workers or lack them."""
        return workers_of(await self.transport.call("workers", c.WorkersRequest(namespace=self.namespace)))

    async def list(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> AsyncIterator[Listed]:
        """The sagas that match all conditions (`Filters`), newest first, page by page; eventually consistent. Raises
        InvalidArgument for an unknown status or state, for a name or value that no attribute can have, and for a time without
        a time zone."""
        async for one in rows(self, limit=limit, **filters):
            yield listed(one)

    async def list_page(self, *, limit: int = 100, page: str = "", **filters: Unpack[Filters]) -> ListPage:
        """One page: its `sagas`, and `next_page`, which is the `page` of the next call and empty at the end. A page may be
        short or empty without being the last. Sagas that are started in the meantime do not move the pages. The conditions
        are those of `list()`."""
        found = await page_of_rows(self, limit=limit, page=page, **filters)
        return ListPage([listed(one) for one in found.sagas], found.next_page)
