"""Exceptions of well-known libraries, made by the libraries themselves where that is easy."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import decimal
import email.errors
import json
import pathlib
import socket
import sqlite3
import ssl
import subprocess
import tomllib
import urllib.error
import uuid
import zipfile
from collections.abc import Callable
from email.message import Message
from typing import Any
from xml.etree import ElementTree

import aiohttp
import asyncpg
import botocore.exceptions
import click
import fastapi
import grpc
import httpx
import jinja2
import jsonschema
import jwt
import marshmallow
import msgpack
import psycopg.errors
import pydantic
import pymongo.errors
import redis.exceptions
import requests
import sqlalchemy
import sqlalchemy.exc
import starlette.exceptions
import stripe
import tenacity
import websockets.exceptions
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL


class Order(pydantic.BaseModel):
    amount: int


def of_a_real_call(call: Callable[[], None]) -> BaseException:
    """In a thread, away from the loop of the step that raises it."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        found = pool.submit(call).exception()
    assert found is not None
    return found.with_traceback(None)


def aiohttp_to_nobody() -> None:
    async def ask() -> None:
        async with aiohttp.ClientSession() as session, session.get("http://127.0.0.1:9/"):
            raise AssertionError("nobody listens there")

    asyncio.run(ask())


def grpc_to_nobody() -> None:
    with grpc.insecure_channel("127.0.0.1:9") as channel:
        channel.unary_unary("/shop.Payments/Charge", None, None)(b"", timeout=5)


def aiohttp_response() -> BaseException:
    headers = CIMultiDict({"Retry-After": "3"})
    asked = aiohttp.RequestInfo(URL("http://a/b"), "GET", CIMultiDictProxy(headers), URL("http://a/b"))
    return aiohttp.ClientResponseError(asked, (), status=404, message="Not Found", headers=headers)


def integrity() -> None:
    engine = sqlalchemy.create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("create table t (x unique)"))
            connection.execute(sqlalchemy.text("insert into t values (1)"))
            connection.execute(sqlalchemy.text("insert into t values (:x)"), {"x": 1})
    finally:
        engine.dispose()


def requests_status() -> None:
    response = requests.Response()
    response.status_code, response.url, response.reason = 404, "http://a/b", "Not Found"
    response.raise_for_status()


def httpx_status() -> None:
    httpx.Response(409, request=httpx.Request("GET", "http://a/b")).raise_for_status()


def unavailable() -> BaseException:
    metadata = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, metadata, metadata, details="down", debug_error_string="")


def wrong_sql() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute("select")


def retried() -> None:
    tenacity.Retrying(stop=tenacity.stop_after_attempt(1))(int, "x")


ERRORS: dict[str, Callable[[], Any]] = {
    "aiohttp connector": lambda: of_a_real_call(aiohttp_to_nobody),
    "grpc sync": lambda: of_a_real_call(grpc_to_nobody),
    "aiohttp response": aiohttp_response,
    "aiohttp payload": lambda: aiohttp.ClientPayloadError("cut off"),
    "aiohttp disconnected": lambda: aiohttp.ServerDisconnectedError("gone"),
    "stripe card": lambda: stripe.CardError(  # type: ignore[no-untyped-call]
        "declined", "number", "card_declined", http_status=402, json_body={"error": {"code": "card_declined"}}
    ),
    "stripe rate": lambda: stripe.RateLimitError("slow down", http_status=429),
    "grpc": unavailable,
    "sqlalchemy integrity": integrity,
    "sqlalchemy none": lambda: sqlalchemy.exc.NoResultFound("no row"),
    "fastapi": lambda: fastapi.HTTPException(503, {"why": "busy"}, {"Retry-After": "3"}),
    "starlette": lambda: starlette.exceptions.HTTPException(404),
    "called process": lambda: subprocess.run(["false"], check=True),
    "process timeout": lambda: subprocess.TimeoutExpired(["sleep"], 3.0, b"out"),
    "botocore client": lambda: botocore.exceptions.ClientError({"Error": {"Code": "Throttling", "Message": "slow"}}, "PutItem"),
    "botocore endpoint": lambda: botocore.exceptions.EndpointConnectionError(endpoint_url="http://a"),
    "requests status": requests_status,
    "requests connection": lambda: requests.ConnectionError("refused"),
    "httpx status": httpx_status,
    "httpx timeout": lambda: httpx.ReadTimeout("slow", request=httpx.Request("GET", "http://a")),
    "pydantic": lambda: Order.model_validate({"amount": "many"}),
    "asyncpg": lambda: asyncpg.UniqueViolationError("duplicate key"),
    "psycopg": lambda: psycopg.errors.UniqueViolation("duplicate key"),
    "redis": lambda: redis.exceptions.ResponseError("MOVED"),
    "redis lock": lambda: redis.exceptions.LockError("not owned", "lock-1"),
    "jwt": lambda: jwt.decode("a.b.c", "key", algorithms=["HS256"]),
    "pymongo": lambda: pymongo.errors.DuplicateKeyError("E11000", 11000, {"keyValue": {"a": 1}}),
    "jsonschema": lambda: jsonschema.validate({"a": 1}, {"type": "array"}),
    "marshmallow": lambda: marshmallow.ValidationError({"amount": ["missing"]}),
    "tenacity": retried,
    "websockets": lambda: websockets.exceptions.ConnectionClosedError(None, None),
    "click": lambda: click.BadParameter("wrong", param_hint="--id"),
    "jinja2": lambda: jinja2.Environment().from_string("{% if %}"),
    "msgpack": lambda: msgpack.unpackb(b"\xc1"),
    "json": lambda: json.loads("{"),
    "toml": lambda: tomllib.loads("a ="),
    "xml": lambda: ElementTree.fromstring("<a>"),
    "zip": lambda: zipfile.BadZipFile("no zip"),
    "decimal": lambda: decimal.Decimal("x"),
    "uuid": lambda: uuid.UUID("x"),
    "email": lambda: email.errors.MessageParseError("bad"),
    "url": lambda: urllib.error.HTTPError("http://a", 500, "broken", Message(), None),
    "dns": lambda: socket.gaierror(-2, "Name or service not known"),
    "ssl": lambda: ssl.SSLCertVerificationError(1, "certificate verify failed"),
    "sqlite": wrong_sql,
    "unicode": lambda: b"\xff".decode(),
    "encode": lambda: "\udce9".encode(),
    "file": lambda: pathlib.Path("caf\udce9.txt").read_text(),
    "refused": lambda: ConnectionRefusedError(111, "refused"),
    "cross device": lambda: OSError(18, "Invalid cross-device link", "a", None, "b"),
    "key": lambda: dict[str, int]()["sku"],
    "attribute": lambda: object().missing,  # type: ignore[attr-defined]
    "import": lambda: ImportError("no", name="thing", path="thing.py"),
    "syntax": lambda: compile("a b", "f.py", "exec"),
    "group": lambda: ExceptionGroup("many", [ValueError("a"), ConnectionRefusedError(111, "refused")]),
    "incomplete read": lambda: asyncio.IncompleteReadError(b"ab", 4),
    "stop iteration": lambda: next(iter(())),
    "timeout": lambda: TimeoutError("mine"),
}


def raised(name: str) -> BaseException:
    """As it is when it is raised."""
    try:
        made = ERRORS[name]()
        assert isinstance(made, BaseException), f"{name} makes {made!r}"
        raise made
    except BaseException as error:
        return error
