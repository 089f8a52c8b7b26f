"""What the page says of a saga, without a browser: every kind of event, waits, durations, values that can't be read."""

from __future__ import annotations

import pytest

from durable_saga import codec
from durable_saga.client.readable import as_json
from durable_saga.page.events import lines_of
from durable_saga.page.showing import STEPS_SHOWN_MAX, cut, lasted, payload_text, rows_of, waits_for
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p

NOW_MS = 1_800_000_000_000


@pytest.mark.parametrize("kind", [field.name for field in h.Event.DESCRIPTOR.oneofs_by_name["kind"].fields])
def test_every_kind_of_event_has_a_sentence_of_its_own_also_when_all_its_fields_are_empty(kind: str) -> None:
    event = h.Event(seq=1, time_ms=NOW_MS)
    getattr(event, kind).SetInParent()
    (line,) = lines_of([event])
    assert line.kind == kind.replace("_", " ")
    assert line.words.strip() != line.kind


def test_an_event_of_a_kind_from_a_later_version_is_shown_as_that() -> None:
    (line,) = lines_of([h.Event(seq=1, time_ms=NOW_MS)])
    assert "upgrade the page" in line.words


def test_a_result_is_told_with_the_name_of_a_step_that_began_on_an_earlier_page() -> None:
    began = h.Event(seq=1, time_ms=NOW_MS, step_scheduled=h.StepScheduled(call="1", name="reserve"))
    done = h.Event(seq=2, time_ms=NOW_MS + 1_500, step_completed=h.StepCompleted(call="1", attempt=2))
    (line,) = lines_of([done], [began])
    assert (line.words, line.since) == ("reserve completed in attempt 2", "+1.5 s")


def test_a_saga_that_no_worker_takes_waits_for_one_and_one_with_a_later_timer_waits_for_that() -> None:
    due = c.Description(saga_type="shop", status=h.RUNNING, wake_at_ms=NOW_MS - 1)
    later = c.Description(saga_type="shop", status=h.RUNNING, wake_at_ms=NOW_MS + 3_600_000)
    ended = c.Description(saga_type="shop", status=h.COMPLETED)
    assert waits_for(due, NOW_MS) == ["A worker that runs shop. The saga could continue now."]
    assert waits_for(later, NOW_MS) == ["A timer at 2027-01-15 09:00:00 UTC, or a message."]
    assert waits_for(ended, NOW_MS) == []


def test_of_too_many_steps_those_that_are_under_way_or_wrong_are_kept() -> None:
    steps = [c.StepView(call=str(n), name="s", state="done") for n in range(STEPS_SHOWN_MAX + 100)]
    steps[3].state, steps[5].compensation_state = "failed", "stuck"
    kept = [row.step.call for row in cut(rows_of(c.Description(status=h.RUNNING, steps=steps)))]
    assert len(kept) == STEPS_SHOWN_MAX
    assert kept[:2] == ["3", "5"]
    assert kept[-1] == str(STEPS_SHOWN_MAX + 99)


def test_values_that_cant_be_read_or_were_not_fetched_are_said_to_be_that() -> None:
    assert payload_text(p.Payload(data=b"\xc1")).shown.startswith('"not readable:')
    away = payload_text(p.Payload(hash=b"h", size=70_000))
    assert (away.shown, away.away) == ("a value of 70,000 bytes", True)
    assert payload_text(p.Payload(data=codec.encode({"a": 1}, where="a test"))).shown == '{"a": 1}'


def test_json_of_what_json_has_no_form_of_is_still_text() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert as_json({(1, 2): "x"}) == "{(1, 2): 'x'}"
    assert as_json({"s": {3}}) == '{"s": [3]}'
    assert "too deeply" in as_json(deep)


@pytest.mark.parametrize(
    ("ms", "told"),
    [(-1, ""), (0, "0 ms"), (1_500, "1.5 s"), (61_000, "1 min 1 s"), (3_600_000, "1 h 0 min"), (200_000_000, "2 d 7 h")],
)
def test_a_duration_has_two_units_at_most(ms: int, told: str) -> None:
    assert lasted(ms) == told
