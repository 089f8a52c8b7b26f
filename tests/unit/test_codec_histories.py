"""What stands in journals stays readable: histories of before and after values were written by plans replay for ever."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from durable_saga import codec
from durable_saga.pb import history_pb2 as h
from durable_saga.recorded import read_history
from durable_saga.replay import Core
from tests.unit.codec_sagas import BASKET, after, before

HISTORIES = pathlib.Path(__file__).resolve().parent.parent / "histories"
VALUES_1 = {
    "box": "Box(items=[Item(name='lamp', price=Decimal('9.90'), colours={<Colour.RED: 'red'>})], _secret=3)",
    "items": "Decimal('9.90')", "card": "Card(number='1')", "basket": repr(BASKET),
}  # fmt: skip
VALUES_2 = ["Iban(number='1')", "Card(number='2')", "GoldCard(number='3', points=4)", "Open(order_id=1, note='n')"]


@pytest.mark.parametrize(("name", "saga"), [("values-1", before), ("values-2", after)])
def test_a_recorded_history_replays_alike_cut_anywhere(name: str, saga: Any) -> None:
    events = read_history(HISTORIES / f"{name}.history")
    for cut in range(1, len(events) + 1):
        core = Core(saga.definition, h.RunKey(namespace="n", saga="s", run=1))
        core.replay(events[:cut])
        kinds = [event.WhichOneof("kind") for event in core.take().events]
        assert kinds == [event.WhichOneof("kind") for event in events[cut : cut + len(kinds)]]
        core.discard()


def result_of(name: str) -> Any:
    """As its saga computed it from the values that it read: it returns how they look."""
    return codec.decode(read_history(HISTORIES / f"{name}.history")[-1].saga_ended.result.data)


def test_the_values_in_them_are_read_as_they_were_written() -> None:
    found = result_of("values-1")
    assert found.pop("wait").total_seconds() == 1
    assert found == VALUES_1
    assert result_of("values-2") == VALUES_2


@pytest.mark.parametrize(("name", "saga"), [("values-1", before), ("values-2", after)])
def test_the_arguments_in_them_are_written_again_as_the_same_values(name: str, saga: Any) -> None:
    """What is read of them equals what today's codec makes of it and reads again."""
    started = read_history(HISTORIES / f"{name}.history")[0].saga_started
    args, _ = codec.decode_call(started.input.data, saga.definition.signature)
    again = codec.encode_call(args, {}, where="again", signature=saga.definition.signature)
    assert codec.decode_call(again, saga.definition.signature)[0] == args
