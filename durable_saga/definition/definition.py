"""What the decorators make of user code: plain values that the core and the worker read."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

from durable_saga.definition.binding import journaled_defaults, plain_signature
from durable_saga.definition.retry import Retry, error_types, policy_of, to_ms

VERSION_MAX = 2**31 - 1
"""Of the code of a saga."""


@dataclass(kw_only=True)
class Definition:
    """A named function of the user. Its annotations are looked up when they are first needed, so that they may name
    classes which stand further down in the module."""

    name: str
    function: Callable[..., Any]

    @cached_property
    def signature(self) -> inspect.Signature:
        """With annotations as objects. Raises TypeError when one names something that isn't there."""
        return signature_of(self.function, self.name)

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """Those of its parameters that are journaled where a call leaves them open."""
        return journaled_defaults(self.signature)

    @cached_property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    @cached_property
    def result_type(self) -> Any:
        """The return annotation, Any where there is none."""
        annotation = self.signature.return_annotation
        return Any if annotation is inspect.Signature.empty else annotation


@dataclass(kw_only=True)
class CompensationDefinition(Definition):
    """`timeout_ms` is for one attempt, 0: none. `takes_result`: the step's result goes to the parameter `result`,
    `takes_error`: what led to the unwind to the parameter `error`.

    `immediate`: it runs at once when its own step fails, before the saga goes on. `when` gets the error that leads to an
    unwind and says whether this one is needed; it is saga code, so it only computes. `once` is the same for all calls of what
    counts as one step, and is undone once."""

    retry: Retry
    timeout_ms: int
    takes_result: bool
    takes_error: bool = False
    immediate: bool = False
    when: Callable[[BaseException], bool] | None = None
    once: Any = None


@dataclass(kw_only=True)
class StepDefinition(Definition):
    """`timeout_ms` is for one attempt, 0: none. `retry` None: as the saga or the worker says. `pivot`: once it is done, the
    saga only goes forward. `not_applied`: errors of these classes prove that nothing happened. `in_doubt_leave`: what is in
    doubt of it is not settled at the end of the saga."""

    retry: Retry | None
    timeout_ms: int
    effect: bool
    at_most_once: bool
    pivot: bool = False
    compensation: CompensationDefinition | None = None
    not_applied: tuple[type[BaseException], ...] = ()
    in_doubt_leave: bool = False

    @cached_property
    def where(self) -> str:
        """As messages about its arguments call it."""
        return f"step {self.name}"

    @cached_property
    def where_result(self) -> str:
        return f"result of step {self.name}"

    def takes(self, count: int) -> bool:
        """Whether so many arguments, all of them positional, surely bind."""
        return count in self._counts

    @cached_property
    def _counts(self) -> range:
        parameters = self.signature.parameters.values()
        if any(one.kind is not one.POSITIONAL_OR_KEYWORD for one in parameters):
            return range(0)
        return range(sum(one.default is one.empty for one in parameters), len(parameters) + 1)


@dataclass(kw_only=True)
class SagaDefinition(Definition):
    """`timeout_ms` is for the whole run, 0: none. `handlers` maps a signal's name to its function, `queries` that of
    a query.

    `compensation_order` gets the names of the steps to undo (of on_failure(): of the function; of a scope or child saga: its
    own), last registered first; it returns them in the order to run. `retry` is for steps without a policy of their own.
    `hold`: when its code fails, the saga is held for a person instead of being unwound. `keys` gets the arguments and gives
    the correlation keys by which events reach this saga, `attributes` its search attributes. `any_signal` gets each signal
    that has no handler of its own, as (name, args). `version` is that of its code, counted from 1: since() asks for it.
    that has no handler of its own, as (name, args). `table`: the steps of a declared saga by their names, given its arguments.
    `module`: where the function does not tell it.
    """

    timeout_ms: int
    handlers: dict[str, Callable[..., Any]]
    compensation_order: Callable[[list[str]], list[str]] | None = None
    compensation_parallel: bool = False
    retry: Retry | None = None
    hold: bool = False
    keys: Callable[..., Sequence[str]] | None = None
    attributes: Callable[..., Mapping[str, Any]] | None = None
    any_signal: Callable[..., Any] | None = None
    version: int = 1
    table: Callable[..., Mapping[str, StepDefinition]] | None = None
    module: str = ""
    queries: dict[str, Callable[..., Any]] = field(default_factory=dict)

    @property
    def home(self) -> str:
        """The module that it stands in."""
        return self.module or str(getattr(inspect.unwrap(self.function), "__module__", ""))


def signature_of(function: Callable[..., Any], name: str = "") -> inspect.Signature:
    """With annotations as objects, those inside of others too. Raises TypeError, with file and line, when one names something
    that isn't there."""
    try:
        signature = inspect.signature(function, eval_str=True)
        if not any(_names_inside(one) for one in (signature.return_annotation, *_annotations(signature))):
            return signature
        hints = typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    except (NameError, AttributeError, SyntaxError) as error:
        raise TypeError(
            f"{place_of(function)}: an annotation of {name or getattr(function, '__name__', function)} can't be looked up"
            f" ({error}); name a class of the module's top level, imported outside `if TYPE_CHECKING`"
        ) from error
    parameters = [one.replace(annotation=hints.get(one.name, one.annotation)) for one in signature.parameters.values()]
    result = hints.get("return", signature.return_annotation)
    return signature.replace(parameters=parameters, return_annotation=result)


def _annotations(signature: inspect.Signature) -> list[Any]:
    return [one.annotation for one in signature.parameters.values()]


def _names_inside(annotation: Any) -> bool:
    """Whether a name is left that was written in quotes inside of an annotation: `list["Item"]`."""
    if isinstance(annotation, str | typing.ForwardRef):
        return True
    if typing.get_origin(annotation) is typing.Literal:
        return False
    return any(_names_inside(one) for one in typing.get_args(annotation))


def is_async(function: Any) -> bool:
    """Whether a call of it surely gives something to await: an async function or method, or an object that is called so."""
    inner = inspect.unwrap(function)
    return any(inspect.iscoroutinefunction(one) for one in (function, inner, getattr(type(inner), "__call__", None)))  # noqa: B004


def check_decides(function: Any, what: str, argument: str) -> None:
    """Raises TypeError for a condition or an order that can't decide: not callable, async, or of other parameters."""
    if function is None:
        return
    if not callable(function):
        raise TypeError(f"{what} is {function!r}: give a function of ({argument})")
    if is_async(function):
        raise TypeError(f"{place_of(function)}: {what} is async, but it only computes: give a plain function of ({argument})")
    try:
        plain_signature(function).bind(None)
    except TypeError:
        raise TypeError(f"{place_of(function)}: {what} does not fit: it is called with ({argument})") from None


def check_decides_alone(function: Any, what: str) -> None:
    """Raises TypeError for a condition that is called without arguments and can't decide so."""
    if not callable(function):
        raise TypeError(f"{what} is {function!r}: give a function without parameters, such as `lambda: state.get('paid')`")
    if is_async(function):
        raise TypeError(f"{place_of(function)}: {what} is async, but it only computes: give a plain function")
    try:
        plain_signature(function).bind()
    except TypeError:
        raise TypeError(f"{place_of(function)}: {what} does not fit: it is called without arguments") from None


def place_of(function: Callable[..., Any]) -> str:
    """File and line of a function, for messages."""
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(function)


def timeout_ms_of(timeout: float | timedelta | None, function: Callable[..., Any]) -> int:
    """0: none. Raises ValueError and TypeError with the function's place."""
    if timeout is None:
        return 0
    with at_place(function):
        if (timeout_ms := to_ms(timeout, name="timeout")) == 0:
            raise ValueError(f"timeout is {timeout!r}, which is too short for any step: leave it out for no time-out")
        return timeout_ms


def retry_of(retry: Any, function: Callable[..., Any]) -> Retry | None:
    """Raises TypeError, with the function's place, for what is no policy."""
    with at_place(function):
        return policy_of(retry, name="retry")


def proofs_of(not_applied: Any, function: Callable[..., Any]) -> tuple[type[BaseException], ...]:
    """The errors that prove that nothing happened. Raises TypeError, with the function's place, for what are no exceptions."""
    with at_place(function):
        found = error_types(not_applied, name="not_applied")
        if too_wide := [one.__name__ for one in found if one in (BaseException, Exception)]:
            raise TypeError(f"not_applied names {too_wide[0]}, which proves nothing: name the errors that do")
        return found


def version_of(version: Any, where: str) -> int:
    """Raises TypeError and ValueError, with the place, for what is no version."""
    if not isinstance(version, int) or isinstance(version, bool):
        raise TypeError(f"{where}: version is {version!r}: give a whole number, 1 or more")
    if not 1 <= version <= VERSION_MAX:
        raise ValueError(f"{where}: version is {version}: give a whole number from 1 to {VERSION_MAX}")
    return version


def leaves_in_doubt(in_doubt: Any, function: Callable[..., Any]) -> bool:
    """Raises ValueError, with the function's place, for another word."""
    with at_place(function):
        if in_doubt not in ("settle", "leave"):
            raise ValueError(f"in_doubt is {in_doubt!r}: give 'settle' or 'leave'")
        return bool(in_doubt == "leave")


@contextmanager
def at_place(function: Callable[..., Any]) -> Iterator[None]:
    """Adds the function's place to a ValueError or TypeError."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise type(error)(f"{place_of(function)}: {error}") from None
