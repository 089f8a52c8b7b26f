"""Classes that change their own fields when they are made, or hold more than their fields."""

from __future__ import annotations

from typing import Any

import msgspec
import pydantic
import pytest

from durable_saga import codec
from durable_saga.errors import NotSerializable


class Grows(msgspec.Struct):
    a: int

    def __post_init__(self) -> None:
        self.a += 1


class FrozenGrows(msgspec.Struct, frozen=True):
    a: int

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "a", self.a + 1)


@pydantic.dataclasses.dataclass(config={"extra": "allow"})
class Open:
    a: int


def again(value: Any) -> Any:
    return codec.decode(codec.encode(value, where="v", annotation=type(value)), type(value))


@pytest.mark.parametrize("value", [Grows(1), FrozenGrows(1)])
def test_a_struct_that_changes_a_field_as_it_is_made_comes_back_as_it_was(value: Any) -> None:
    assert again(value) == value
    assert again(value).a == 2


def test_the_extras_of_a_pydantic_dataclass_come_back() -> None:
    value = Open(a=1, more=[2])  # type: ignore[call-arg]
    assert vars(value)["more"] == [2]
    assert vars(again(value)) == vars(value)


def test_an_extra_that_would_come_back_as_something_else_is_refused() -> None:
    with pytest.raises(NotSerializable, match=r"v\.more has no annotation and holds a Grows"):
        codec.encode(Open(a=1, more=Grows(1)), where="v", annotation=Open)  # type: ignore[call-arg]
