"""The law of the codec for types made at random: what goes in comes out, of the same type all the way down."""

from __future__ import annotations

import inspect
from typing import Any

from hypothesis import HealthCheck, given, settings

from durable_saga import codec
from tests.hypothesis_profile import examples
from tests.laws.codec_types import alike, typed_values


@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.too_slow])
@given(typed_values())
def test_a_value_of_any_type_comes_back_as_it_was(made: tuple[Any, Any]) -> None:
    annotation, value = made
    data = codec.encode(value, where="v", annotation=annotation)
    found = codec.decode(data, annotation)
    assert alike(found, value), (annotation, value, found)
    assert codec.encode(found, where="v", annotation=annotation) == data


@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow])
@given(typed_values(), typed_values())
def test_the_arguments_of_a_call_come_back_as_they_were(one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter("one", kind, annotation=one[0]),
                                   inspect.Parameter("other", kind, annotation=other[0])])  # fmt: skip
    data = codec.encode_call((one[1],), {"other": other[1]}, where="step", signature=signature)
    args, kwargs = codec.decode_call(data, signature)
    assert alike(args[0], one[1])
    assert alike(kwargs["other"], other[1])
