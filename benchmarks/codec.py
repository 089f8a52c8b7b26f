"""`python -m benchmarks.codec`: what it costs to encode and decode small values, in µs; the best of several rounds.

A step of a saga encodes its arguments and decodes its result once each. Figures of different machines do not compare.
"""

from __future__ import annotations

import dataclasses
import decimal
import inspect
import json
import time
from collections.abc import Callable
from typing import Any

import pydantic

from durable_saga import codec

ROUNDS, CALLS = 30, 2_000


@dataclasses.dataclass
class Item:
    name: str
    count: int
    price: decimal.Decimal
    tags: list[str]


class Order(pydantic.BaseModel):
    name: str
    count: int
    price: decimal.Decimal
    tags: list[str]


VALUES: dict[str, tuple[Any, Any]] = {
    "int": (7, int),
    "str": ("a text of some length", str),
    "dict": ({"number": 1, "name": "lamp"}, dict[str, Any]),
    "dict, no annotation": ({"number": 1, "name": "lamp"}, Any),
    "list of 100 int": (list(range(100)), list[int]),
    "list of 100 str": ([str(n) for n in range(100)], list[str]),
    "dataclass of 4 fields": (Item("lamp", 3, decimal.Decimal("9.90"), ["a", "b"]), Item),
    "100 dataclasses": ([Item("lamp", n, decimal.Decimal("9.90"), ["a", "b"]) for n in range(100)], list[Item]),
    "pydantic model": (Order(name="lamp", count=3, price=decimal.Decimal("9.90"), tags=["a", "b"]), Order),
}


def microseconds(work: Callable[[], object]) -> float:
    calls, best = CALLS, float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(calls):
            work()
        taken = time.perf_counter() - began
        best = min(best, taken / calls)
        calls = max(10, min(CALLS, int(0.01 / best)))
    return best * 1e6


def call_of(annotation: Any) -> inspect.Signature:
    return inspect.Signature([inspect.Parameter("value", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)])


def measure(value: Any, annotation: Any) -> dict[str, float]:
    signature = call_of(annotation)
    result = codec.encode(value, where="result", annotation=annotation)
    data = codec.encode_call((value,), {}, where="step", signature=signature)
    return {
        "encode": microseconds(lambda: codec.encode(value, where="result", annotation=annotation)),
        "decode": microseconds(lambda: codec.decode(result, annotation, where="result")),
        "encode_call": microseconds(lambda: codec.encode_call((value,), {}, where="step", signature=signature)),
        "decode_call": microseconds(lambda: codec.decode_call(data, signature)),
    }


def main() -> None:
    rows = {name: measure(value, annotation) for name, (value, annotation) in VALUES.items()}
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
