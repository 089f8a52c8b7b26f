"""Entries about one attempt (L1): what a step raises or returns, and what its policy is made of."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import sys
import threading
import uuid
from collections.abc import Callable
from typing import Any

from durable_saga import Retry, saga, step
from durable_saga.authoring.compensation import compensation
from durable_saga.errors import StepFailed
from tests.nasty import ledger
from tests.nasty.entry import Entry
from tests.nasty.raised import MADE, Make
from tests.nasty.steps import DEEDS, ONCE, book, charge, charge_plain

SAGAS: list[Any] = []
ENTRIES: list[Entry] = []
REFUSED: list[str] = []
"""Policies that are refused where they are defined."""


def kept(one: Any) -> Any:
    SAGAS.append(one)
    return one


def _raise(make: Make) -> Any:
    raise make()


def _deed(make: Make) -> Callable[[], Any]:
    return lambda: _raise(make)


DEEDS.update({name: _deed(make) for name, make in MADE.items()})


def type_of(name: str) -> str:
    kind = type(MADE[name]())
    return f"{kind.__module__}.{kind.__qualname__}"


# --- what a step raises ----------------------------------------------------------------------------------


@kept
@saga
async def lets(deed: str) -> None:
    await book("first")
    await charge("card", deed)


@kept
@saga
async def lets_plain(deed: str) -> None:
    await book("first")
    await charge_plain("card", deed)


@kept
@saga
async def catches(deed: str, attributes: list[str]) -> Any:
    """Gives the type, and what its attributes are; where it is no class of the step's, StepFailed's."""
    await book("first")
    try:
        await charge("card", deed)
    except StepFailed as error:
        return ["StepFailed", error.type]
    except Exception as error:
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        return [kind, *(repr(getattr(error, name, "gone")) for name in attributes)]
    return "nothing was raised"


NOT_IN_THE_RUNNER = {
    "interrupt": "in a test it is the user who ends the test", "generator exit": "it is how Python ends the runner's own code"
}  # fmt: skip
BECOMES_ANOTHER = {"stop iteration"}
"""Python makes a RuntimeError of it in a coroutine."""
ENTRIES += [
    Entry(f"raises {name}", lets_plain if place % 3 == 0 else lets, (name,), status="compensated", undone="first card",
          step_error="" if name in BECOMES_ANOTHER else name, runner=NOT_IN_THE_RUNNER.get(name, ""))
    for place, name in enumerate(MADE)
]  # fmt: skip

_ATTRIBUTES = {
    "called process": ["returncode", "cmd", "stderr"], "unicode decode": ["reason", "start", "object"],
    "json": ["pos", "lineno"], "file": ["errno", "filename"], "key": ["args"],
    "group": ["message", "exceptions"], "smtp": ["smtp_code", "smtp_error"],
    "incomplete read": ["partial", "expected"], "address": ["errno"], "without super": ["order", "amount"],
    "dataclass": ["order", "amount"], "stripe card": ["code", "param"], "fastapi http": ["status_code", "detail"],
    "botocore client": ["response"], "keyword only": ["order"], "aiohttp response": ["status"],
}  # fmt: skip
OWN_CLASS = {"called process", "unicode decode", "json", "file", "key", "smtp", "incomplete read", "address", "without super"}
"""Those that the saga must catch as themselves, with these attributes; of the others it may get StepFailed."""


def _caught_as(name: str) -> Callable[[Any], str]:
    def check(seen: Any) -> str:
        made = MADE[name]()
        right = [type_of(name), *(repr(getattr(made, one)) for one in _ATTRIBUTES[name])]
        if seen.result == right or (name not in OWN_CLASS and seen.result == ["StepFailed", type_of(name)]):
            return ""
        return f"the saga caught {seen.result}, not {right}"

    return check


ENTRIES += [
    Entry(f"catches {name}", catches, (name, attributes), step_error=name, undone="card", stands="first",
          check=_caught_as(name))
    for name, attributes in _ATTRIBUTES.items()
]  # fmt: skip

# --- what it returns -------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Inner:
    lock: Any


def _endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def _deep_list() -> list[Any]:
    found: list[Any] = []
    for _ in range(100_000):
        found = [found]
    return found


async def _later() -> str:
    return "later"


_VALUES: dict[str, tuple[Any, Callable[[], Any]]] = {
    "Decimal for float": (float, lambda: decimal.Decimal("9.90")),
    "None for str": (str, lambda: None),
    "UUID for str": (str, lambda: uuid.UUID(int=7)),
    "str for int": (int, lambda: "7"),
    "a lock": (Any, threading.Lock),
    "an open file": (Any, lambda: sys.__stdout__),
    "a generator": (Any, lambda: (one for one in (1, 2))),
    "a coroutine": (Any, _later),
    "a lambda": (Any, lambda: lambda: 7),
    "a class of nobody": (Any, lambda: type("Nobody", (), {})()),
    "a dataclass with a lock": (Any, lambda: Inner(threading.Lock())),
    "a list in itself": (Any, _endless),
    "a deep list": (Any, _deep_list),
    "a huge integer": (Any, lambda: 10**400),
    "a lone surrogate": (str, lambda: "caf\udce9"),
    "an object as a key": (Any, lambda: {frozenset({1}): object()}),
    "a value over the limit": (bytes, lambda: bytes(40 * 1024 * 1024)),
    "wrong items": (list[int], lambda: ["a"]),
}  # fmt: skip


def _returns(name: str, annotation: Any, make: Callable[[], Any]) -> Any:
    async def gives() -> Any:
        ledger.note("begins", "card")
        ledger.note("done", "card")
        return make()

    gives.__annotations__["return"] = annotation
    gives.__name__ = gives.__qualname__ = "gives " + name
    made = step(retry=Retry(max_attempts=3, initial=0.01))(gives)

    @made.compensation
    async def takes_back() -> None:
        ledger.note("undone", "card")

    async def run() -> None:
        await book("first")
        await made()

    return kept(saga(name="returns " + name)(run))


ENTRIES += [
    Entry(f"returns {name}", _returns(name, annotation, make), status="compensated", undone="first card")
    for name, (annotation, make) in _VALUES.items()
    if name != "a huge integer"
]  # fmt: skip
ENTRIES.append(Entry("returns a huge integer", _returns("a huge integer", *_VALUES["a huge integer"]), stands="first card"))

# --- policies --------------------------------------------------------------------------------------------


async def _asks_later(error: BaseException) -> bool:
    return False


def _breaks(error: BaseException) -> bool:
    raise RuntimeError("a mistake in the predicate")


def _policy(name: str, make: Callable[[], Retry], *, attempts: int = 3, **options: Any) -> None:
    """Refused when it is defined, which is well; else it must come to its end, and no attempt may be lost."""

    async def fails() -> None:
        ledger.note("begins", "card")
        raise ConnectionError("the bank is away")

    async def takes_back() -> None:
        ledger.note("undone", "card")

    try:
        failing = step(name="fails " + name, retry=make(), **options)(fails)
    except (TypeError, ValueError, OverflowError):
        REFUSED.append(name)
        return
    failing.compensation(takes_back)

    async def run() -> None:
        await book("first")
        await failing()

    one = kept(saga(name="policy " + name)(run))
    ENTRIES.append(Entry(f"policy {name}", one, status="compensated", undone="first card", attempts=attempts))


_policy("predicate breaks", lambda: Retry(max_attempts=3, initial=0.01, retry_if=_breaks))
_policy("predicate is async", lambda: Retry(max_attempts=3, initial=0.01, retry_if=_asks_later))  # type: ignore[arg-type]
_policy("one type, no tuple", lambda: Retry(max_attempts=3, initial=0.01, non_retryable=ConnectionError), attempts=1)
_policy("types by name", lambda: Retry(max_attempts=3, initial=0.01, non_retryable=["ConnectionError"]))  # type: ignore[list-item]
_policy("a number", lambda: 3)  # type: ignore[arg-type,return-value]
_policy("a huge factor", lambda: Retry(max_attempts=60, initial=0.001, factor=1e6, maximum=0.002, jitter=0), attempts=60)
_policy("no end", lambda: Retry(max_attempts=3, initial=0.01, maximum=math.inf))
_policy("maximum of all times", lambda: Retry(max_attempts=3, initial=0.01, maximum=datetime.timedelta.max))
_policy("jitter above the maximum", lambda: Retry(max_attempts=3, initial=0.01, maximum=0.01, jitter=50))
_policy("time-out without end", lambda: ONCE, timeout=math.inf)
_policy("time-out that is no number", lambda: ONCE, timeout=math.nan)
_policy("time-out as text", lambda: ONCE, timeout="5")

# --- compensations ---------------------------------------------------------------------------------------


def _undo(name: str, deed: str) -> None:
    """The first attempt of the undo does the deed, the second works."""

    async def acts() -> str:
        ledger.note("begins", "card")
        ledger.note("done", "card")
        return "acted"

    @compensation(retry=Retry(max_attempts=None, initial=0.01))
    async def takes_back(result: str | None) -> None:
        from durable_saga import step_context

        if step_context().attempt == 1:
            DEEDS[deed]()
        ledger.note("undone", "card", result)

    acting = step(name=f"acts, undo {name}", retry=ONCE)(acts)
    acting.compensation(takes_back)

    async def run() -> None:
        await acting()
        raise ValueError("so that it is undone")

    one = kept(saga(name="undo " + name)(run))
    ENTRIES.append(Entry(f"undo {name}", one, status="compensated", undone="card", error="ValueError"))


for _name in ("bad text", "bad code", "stripe card", "stop iteration", "exit", "cancelled", "surrogate", "group"):
    _undo(f"raises {_name}", _name)
