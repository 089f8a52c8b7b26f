"""Exceptions that steps raise: real ones of real libraries, made as those libraries make them, and some of users' own."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json
import threading
from collections.abc import Callable
from typing import Any

Make = Callable[[], BaseException]
MADE: dict[str, Make] = {}


def made(name: str) -> Callable[[Make], Make]:
    def keep(make: Make) -> Make:
        MADE[name] = make
        return make

    return keep


def of(module: str, name: str, *args: Any, **kwargs: Any) -> Make:
    """Raises ModuleNotFoundError where the library is not installed: it is a dependency of the tests."""
    return lambda: getattr(importlib.import_module(module), name)(*args, **kwargs)


def caught(act: Callable[[], Any]) -> Make:
    """The exception that this really raises."""

    def make() -> BaseException:
        try:
            act()
        except Exception as error:
            return error
        raise AssertionError("it raises nothing")

    return make


# --- of libraries ----------------------------------------------------------------------------------------


@made("aiohttp response")
def _aiohttp() -> BaseException:
    aiohttp, yarl, multidict = (importlib.import_module(name) for name in ("aiohttp", "yarl", "multidict"))
    url = yarl.URL("http://bank.example/charge")
    info = aiohttp.RequestInfo(url, "POST", multidict.CIMultiDictProxy(multidict.CIMultiDict()), url)
    error: BaseException = aiohttp.ClientResponseError(info, (), status=402, message="Payment Required")
    return error


@made("httpx status")
def _httpx() -> BaseException:
    httpx = importlib.import_module("httpx")
    request = httpx.Request("POST", "http://bank.example")
    response = httpx.Response(500, request=request)
    return caught(response.raise_for_status)()


@made("requests status")
def _requests() -> BaseException:
    requests = importlib.import_module("requests")
    response = requests.Response()
    response.status_code = 503
    return caught(response.raise_for_status)()


@made("sqlalchemy integrity")
def _integrity() -> BaseException:
    sqlalchemy = importlib.import_module("sqlalchemy")

    def insert_twice() -> None:
        with sqlalchemy.create_engine("sqlite://").connect() as connection:
            connection.execute(sqlalchemy.text("create table t (id integer primary key)"))
            for _ in range(2):
                connection.execute(sqlalchemy.text("insert into t values (:id)"), {"id": 1})

    return caught(insert_twice)()


@made("pydantic validation")
def _pydantic() -> BaseException:
    pydantic = importlib.import_module("pydantic")
    model = pydantic.create_model("Order", amount=(int, ...))
    return caught(lambda: model(amount="many"))()


@made("tenacity retry")
def _tenacity() -> BaseException:
    tenacity = importlib.import_module("tenacity")
    return caught(lambda: tenacity.Retrying(stop=tenacity.stop_after_attempt(1))(lambda: dict[str, int]()["sku"]))()


@made("fastapi validation")
def _fastapi() -> BaseException:
    errors = [{"loc": ["body", "amount"], "msg": "field required", "type": "missing"}]
    return of("fastapi.exceptions", "RequestValidationError", errors)()


@made("grpc call")
def _grpc() -> BaseException:
    grpc, aio = importlib.import_module("grpc"), importlib.import_module("grpc.aio")
    nothing = aio.Metadata()
    error: BaseException = aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, details="no route")
    return error


_PAYMENT = {"Error": {"Code": "ConditionalCheckFailedException", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
MADE |= {
    "aiohttp disconnected": of("aiohttp", "ServerDisconnectedError"),
    "stripe card": of("stripe", "CardError", "Your card was declined.", "number", "card_declined", http_status=402),
    "stripe rate": of("stripe", "RateLimitError", "Too many requests", http_status=429, headers={"Retry-After": "3"}),
    "fastapi http": of("fastapi", "HTTPException", 402, "no funds"),
    "starlette http": of("starlette.exceptions", "HTTPException", 500, "DIE", {"X-Why": "no"}),
    "httpx timeout": of("httpx", "ConnectTimeout", "timed out"),
    "requests connection": of("requests", "ConnectionError", "refused"),
    "sqlalchemy none": of("sqlalchemy.exc", "NoResultFound", "No row was found"),
    "sqlalchemy operational": of("sqlalchemy.exc", "OperationalError", "select 1", {"a": 1}, OSError(5, "gone")),
    "botocore client": of("botocore.exceptions", "ClientError", _PAYMENT, "PutItem"),
    "botocore endpoint": of("botocore.exceptions", "EndpointConnectionError", endpoint_url="http://x.example"),
    "redis response": of("redis.exceptions", "ResponseError", "WRONGTYPE"),
    "jsonschema": caught(lambda: importlib.import_module("jsonschema").validate("x", {"type": "integer"})),
    "pymongo duplicate": of("pymongo.errors", "DuplicateKeyError", "E11000", 11000, {"keyValue": {"_id": 1}}),
    "pymongo bulk": of("pymongo.errors", "BulkWriteError", {"writeErrors": [], "nInserted": 1}),
    "asyncpg unique": of("asyncpg", "UniqueViolationError", "duplicate key"),
    "psycopg unique": of("psycopg.errors", "UniqueViolation", "duplicate key"),
    "jwt expired": of("jwt", "ExpiredSignatureError", "Signature has expired"),
    "kafka timeout": of("kafka.errors", "KafkaTimeoutError", "no leader"),
    "msgpack extra": caught(lambda: importlib.import_module("msgpack").unpackb(b"\x01\x02")),
    "click parameter": of("click", "BadParameter", "no such file", param_hint="--file"),
    "jinja syntax": caught(lambda: importlib.import_module("jinja2").Template("{% if %}")),
    "cassandra unavailable": of("cassandra", "Unavailable", "no", consistency=1, required_replicas=2, alive_replicas=1),
    "attrs frozen": of("attr.exceptions", "FrozenInstanceError"),
}  # fmt: skip

# --- of Python -------------------------------------------------------------------------------------------


def _deep(depth: int = 0) -> int:
    return _deep(depth + 1)


MADE |= {
    "called process": of("subprocess", "CalledProcessError", 3, ["ls"], b"out", b"err"),
    "process time-out": of("subprocess", "TimeoutExpired", ["ls"], 2.5),
    "unicode decode": caught(lambda: b"\xff".decode()),
    "unicode encode": caught(lambda: "\udce9".encode()),
    "json": caught(lambda: json.loads("{")),
    "key": caught(lambda: dict[str, int]()["sku"]),
    "file": caught(lambda: open("no-such-file")),  # noqa: SIM115
    "surrogate file": of("builtins", "FileNotFoundError", 2, "No such file", "caf\udce9.txt"),
    "refused": of("builtins", "ConnectionRefusedError", 111, "refused"),
    "address": of("socket", "gaierror", -2, "Name or service not known"),
    "http status": of("urllib.error", "HTTPError", "http://x.example", 404, "Not Found", None, None),
    "incomplete http": of("http.client", "IncompleteRead", b"abc", 9),
    "incomplete read": of("asyncio", "IncompleteReadError", b"abc", 9),
    "limit overrun": of("asyncio", "LimitOverrunError", "too long", 7),
    "smtp": of("smtplib", "SMTPResponseException", 550, b"no such user"),
    "smtp recipients": of("smtplib", "SMTPRecipientsRefused", {"a@x.example": (550, b"no")}),
    "sqlite": caught(lambda: importlib.import_module("sqlite3").connect(":memory:").execute("nonsense")),
    "pattern": caught(lambda: importlib.import_module("re").compile("(")),
    "xml": caught(lambda: importlib.import_module("xml.etree.ElementTree").fromstring("<a>")),
    "config": of("configparser", "NoOptionError", "url", "bank"),
    "decimal": caught(lambda: importlib.import_module("decimal").Decimal("x")),
    "syntax": caught(lambda: compile("a b", "rules.py", "exec")),
    "attribute": caught(lambda: getattr(None, "amount")),  # noqa: B009  what a user's code runs into
    "import": caught(lambda: importlib.import_module("no_such_module")),
    "recursion": caught(_deep),
    "memory": of("builtins", "MemoryError"),
    "group": lambda: ExceptionGroup("many", [ValueError("a"), ExceptionGroup("more", [KeyError("b"), OSError(5, "c")])]),
    "stop iteration": of("builtins", "StopIteration", 3),
    "stop async iteration": of("builtins", "StopAsyncIteration", 3),
    "cancelled": lambda: asyncio.CancelledError("mine"),
    "generator exit": of("builtins", "GeneratorExit"),
    "exit": of("builtins", "SystemExit", 3),
    "interrupt": of("builtins", "KeyboardInterrupt"),
    "time-out": of("builtins", "TimeoutError", "mine"),
    "empty": of("builtins", "ValueError"),
    "long": lambda: ValueError("x" * 10_000_000),
    "nul": of("builtins", "ValueError", "a\0b"),
    "surrogate": of("builtins", "ValueError", "caf\udce9"),
    "bytes": of("builtins", "ValueError", b"\xff\xfe"),
    "many arguments": lambda: ValueError(*range(10_000)),
}

# --- of users --------------------------------------------------------------------------------------------


class BadText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


class TextIsNumber(Exception):
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]  # as a user's mistake


class BadCode(Exception):
    @property
    def code(self) -> str:
        raise RuntimeError("no code")


class CodeIsMethod(Exception):
    def code(self) -> str:
        return "UNAVAILABLE"


class KeywordOnly(Exception):
    def __init__(self, *, order: int) -> None:
        super().__init__(f"order {order}")
        self.order = order


class WithoutSuper(Exception):
    def __init__(self, order: int, amount: float) -> None:
        self.order, self.amount = order, amount


class HoldsLock(Exception):
    def __init__(self) -> None:
        super().__init__("busy")
        self.lock = threading.Lock()


class Greedy(Exception):
    def __getattr__(self, name: str) -> Any:
        return getattr(self, f"_{name}")


class NeverEqual(Exception):
    __hash__ = None  # type: ignore[assignment]  # as a class with __eq__ has it

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not comparable")

    def __bool__(self) -> bool:
        raise RuntimeError("not true, not false")


@dataclasses.dataclass
class AsDataclass(Exception):
    order: str
    amount: int = 0


class CountsItself(Exception):
    """A second one can't be made."""

    there = 0

    def __new__(cls, *args: Any) -> CountsItself:
        cls.there += 1
        if args and args[0] != "by the user":
            raise RuntimeError("only by its factory")
        return super().__new__(cls)


class BadArguments(Exception):
    @property
    def args(self) -> Any:
        raise RuntimeError("no args")

    @args.setter
    def args(self, value: Any) -> None:
        raise RuntimeError("no args")


def _chained() -> BaseException:
    error: BaseException = ValueError("first")
    for number in range(1_000):
        following = RuntimeError(number)
        following.__cause__ = error
        error = following
    return error


def _circle() -> BaseException:
    first, second = ValueError("egg"), ValueError("hen")
    first.__cause__, second.__cause__ = second, first
    return first


def _local() -> BaseException:
    class Local(Exception): ...

    return Local("nobody can import it")


def _noted() -> BaseException:
    error = ValueError("noted")
    error.add_note("caf\udce9")
    error.order = object()  # type: ignore[attr-defined]
    return error


MADE |= {
    "bad text": BadText, "text is number": TextIsNumber, "bad code": BadCode, "code is method": lambda: CodeIsMethod("x"),
    "keyword only": lambda: KeywordOnly(order=7), "without super": lambda: WithoutSuper(7, 9.9), "holds lock": HoldsLock,
    "greedy": lambda: Greedy("g"), "never equal": lambda: NeverEqual("e"), "dataclass": lambda: AsDataclass("o-7", 9),
    "counts itself": lambda: CountsItself("by the user"), "bad arguments": BadArguments, "chained": _chained,
    "circle": _circle, "local": _local, "noted": _noted,
}  # fmt: skip
