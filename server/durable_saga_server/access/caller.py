"""One caller: a unary call, or whoever opened a stream. Each call and each item of it is looked at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.roles import ITEMS, OPERATING
from durable_saga_server.access.auditing import CLAIMED, RECORDED_UNASKED, Auditor, By
from durable_saga_server.access.roles import Identity, namespace_of, refusal, refusal_of_worker
from durable_saga_server.failures import ServiceError

Method = Callable[[Any], Awaitable[Any]]
OVER = ServiceError(
    "UNAVAILABLE", "the token or certificate of this stream has expired or was revoked: open it again with a valid one"
)


class _Opened(Protocol):
    """A stream of a worker."""

    @property
    def caller(self) -> Caller | None: ...


class Caller:
    """`is_good` tells whether the identity is still let in. `over` is called once when it no longer is: a stream ends by it."""

    def __init__(self, identity: Identity, origin: str, is_good: Callable[[Identity], bool], auditor: Auditor) -> None:
        self.identity = identity
        self.by = By(identity.name, identity.kind, origin)
        self._auditor = auditor
        self.over: Callable[[ServiceError], object] | None = None
        self._is_good = is_good

    def look(self) -> bool:
        """Whether it may go on; else its stream is ended."""
        if self._is_good(self.identity):
            return True
        if self.over is not None:
            self.over(OVER)
        return False

    def check(self, call: str, request: Any) -> None:
        """Raises ServiceError."""
        if not self._is_good(self.identity):
            raise OVER
        if reason := refusal(self.identity, call, request):
            raise self._refused(call, "" if request is None else namespace_of(request), reason)

    def _refused(self, call: str, namespace: str, reason: str) -> ServiceError:
        self._auditor.refused(call, namespace, self.by, reason)
        return ServiceError("PERMISSION_DENIED", reason)

    async def call(self, name: str, method: Method, request: Any) -> Any:
        """Raises ServiceError, and what the method raises."""
        self.check(name, request)
        if name == "Identify":
            if request.login_from:
                self._auditor.done("Login", "", "page", f"from {request.login_from[:200]}", self.by)
            return self.identity.to_message()
        _sign(name, request, self.identity.name)
        return await self._auditor.call(name, method, request, self.by)

    def calls(self, calls: Mapping[str, Method]) -> Mapping[str, Method]:
        """The calls of a service, as this caller may make them."""
        return {name: partial(self.call, name, method) for name, method in calls.items()}

    # --- as a worker -----------------------------------------------------------------------------------------------------

    def check_hello(self, hello: w.Hello) -> None:
        """Raises ServiceError."""
        if reason := refusal_of_worker(self.identity, hello.namespace, hello.saga_types):
            raise self._refused("Work", hello.namespace, reason)
        self._auditor.done("Work", hello.namespace, hello.worker, f"for {', '.join(hello.saga_types)}", self.by)

    def check_item(self, kind: str, item: w.WorkerItem, namespace: str) -> None:
        """Raises ServiceError."""
        if not self._is_good(self.identity):
            raise OVER
        if not self.identity.may(ITEMS.get(kind, frozenset()), namespace):
            raise self._refused("Work", namespace, f"{self.identity.name} may not run workers in namespace {namespace!r}")
        if kind == "release" and not self.may_run(namespace, item.release.saga_type):
            raise self._refused("Work", namespace, f"{self.identity.name} may not run workers for {item.release.saga_type!r}")

    def check_same(self, session: _Opened | None) -> None:
        """Raises ServiceError when somebody else opened the stream."""
        if session is not None and session.caller is not None and session.caller.identity.name != self.identity.name:
            raise ServiceError("PERMISSION_DENIED", f"this worker was opened by somebody else, not by {self.identity.name}")

    def may_run(self, namespace: str, saga_type: str) -> bool:
        return self.identity.may_run(namespace, saga_type)


class Unasked:
    """A caller where nobody is asked who they are: it may do everything, and what an operator does is recorded as it says."""

    over: Callable[[ServiceError], object] | None = None

    def __init__(self, origin: str, auditor: Auditor) -> None:
        self._origin = origin
        self._auditor = auditor

    async def call(self, name: str, method: Method, request: Any) -> Any:
        """Raises what the method raises, and ServiceError."""
        who = request.decision.who if name == "Decide" else request.who
        return await self._auditor.call(name, method, request, By(who, CLAIMED, self._origin))

    def calls(self, calls: Mapping[str, Method]) -> Mapping[str, Method]:
        return {**calls, **{name: partial(self.call, name, calls[name]) for name in RECORDED_UNASKED}}


def _sign(name: str, request: Any, who: str) -> None:
    """In histories stands who it is, whatever the request says."""
    if name == "Decide":
        request.decision.who = who
    elif name in (*OPERATING, "Grant", "Revoke"):
        request.who = who
