"""Bytes made at random, and real ones with a few changed: a value or DecodeError, whatever annotation they are read by."""

from __future__ import annotations

import datetime as dt
import decimal
import inspect
import random
from typing import Any

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_saga import codec
from durable_saga.codec import extension as ext
from durable_saga.errors import DecodeError
from tests.hypothesis_profile import examples
from tests.laws.codec_types import Card, Colour, Doubled, Iban, Page, Point, Tree

MUTANTS, BATCH = 5_000, 20
"""100,000 in `make laws`, in batches: Hypothesis draws the seeds, a generator the bytes."""
ANNOTATIONS: tuple[Any, ...] = (
    Any, int, float, str, list[int], dict[str, int], tuple[int, ...], set[str], Colour, Card | Iban, Page[Card], Tree, Doubled,
    Point, dt.datetime, dict[Colour, list[Point]], Card | list[int] | None,
)  # fmt: skip
SEEDS: tuple[bytes, ...] = tuple(
    codec.encode(value, where="v", annotation=annotation)
    for value, annotation in (
        (Tree(1, [Tree(2)], Tree(3)), Tree), (Doubled(3), Doubled), (Iban("DE1"), Card | Iban), (Page([Card("1")]), Page[Card]),
        ({Colour.PAIR: [Point(1, Colour.RED)]}, dict[Colour, list[Point]]), ({1: {2}, (3,): frozenset([4])}, Any),
        ([2**70, decimal.Decimal("1.5"), dt.datetime(2026, 1, 2), dt.timedelta(1), 1.5, b"x", None, 3 + 4j, range(3)], Any),
        ([{"a": [1, "b"]}, Tree(5), Colour.RED], codec.UNKNOWN), ([[1, 2], {"name": "n"}], Any),
    )
)  # fmt: skip
CALL = inspect.signature(lambda tree, *rest, **more: None)

raw = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=3),
        st.builds(lambda code, one: msgpack.ExtType(code, msgpack.packb(one)), st.integers(0, 15), inner),
        st.builds(lambda code, one: msgpack.ExtType(code, one), st.integers(0, 127), st.binary(max_size=12)),
        st.builds(lambda name, one: msgpack.ExtType(ext.TAGGED, msgpack.packb([name, one])), st.text(), inner),
    ),
    max_leaves=10,
)  # fmt: skip


def read(data: bytes, annotation: Any) -> None:
    """Raises whatever decode() raises beside DecodeError."""
    try:
        codec.decode(data, annotation)
    except DecodeError:
        pass
    try:
        codec.decode_call(data, CALL)
    except DecodeError:
        pass


def mutant(dice: random.Random) -> bytes:
    data = bytearray(dice.choice(SEEDS))
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(data))
        kind = dice.randrange(5)
        if kind == 0:
            data[place] = dice.randrange(256)
        elif kind == 1:
            data[place] ^= 1 << dice.randrange(8)
        elif kind == 2:
            data.insert(place, dice.choice(b"\x80\x81\x90\x91\xc0\xc7\xc8\xd4\xd6\xdc\xdd\xdf\xff"))
        elif kind == 3:
            other = dice.choice(SEEDS)
            data[place:place] = other[dice.randrange(len(other)) :]
        elif len(data) > 1:
            del data[place]
    return bytes(data)


@settings(max_examples=examples(MUTANTS // BATCH))
@given(st.integers(0, 2**64))
def test_real_bytes_with_some_changed_are_a_value_or_a_decode_error(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(BATCH):
        data = mutant(dice)
        try:
            read(data, dice.choice(ANNOTATIONS))
        except Exception as error:
            raise AssertionError(f"{data!r}: {error!r}") from error


@settings(max_examples=examples(200))
@given(raw, st.sampled_from(ANNOTATIONS))
def test_msgpack_of_any_shape_is_a_value_or_a_decode_error(value: Any, annotation: Any) -> None:
    read(msgpack.packb(value), annotation)


@settings(max_examples=examples(100))
@given(st.binary(max_size=200), st.sampled_from(ANNOTATIONS))
def test_any_bytes_are_a_value_or_a_decode_error(data: bytes, annotation: Any) -> None:
    read(data, annotation)
