"""Times as people write them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_saga.client.times import shown, time_ahead, time_in
from durable_saga.errors import InvalidArgument

NOW = datetime(2026, 11, 29, 9, 30, tzinfo=UTC)  # a Sunday


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> object:
    """What is local."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield None
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("now", "2026-11-29T09:30Z"),
        ("2 h ago", "2026-11-29T07:30Z"),
        ("2h", "2026-11-29T07:30Z"),
        ("1 h 30 min ago", "2026-11-29T08:00Z"),
        ("3 days ago", "2026-11-26T09:30Z"),
        ("yesterday 14:00", "2026-11-28T13:00Z"),
        ("Yesterday at 14:00", "2026-11-28T13:00Z"),
        ("yesterday", "2026-11-27T23:00Z"),
        ("today 14:00 UTC", "2026-11-29T14:00Z"),
        ("10:00", "2026-11-29T09:00Z"),
        ("9:05:30", "2026-11-29T08:05:30Z"),
        ("14:10", "2026-11-28T13:10Z"),
        ("14:10 UTC", "2026-11-28T14:10Z"),
        ("08:00 +02:00", "2026-11-29T06:00Z"),
        ("friday", "2026-11-26T23:00Z"),
        ("last monday 12:00 America/New_York", "2026-11-23T17:00Z"),
        ("sunday 14:00", "2026-11-22T13:00Z"),
        ("2026-07-01", "2026-06-30T22:00Z"),
        ("2026-07-01 14:30", "2026-07-01T12:30Z"),
        ("2026-07-01T14:30:00+0100", "2026-07-01T13:30Z"),
        ("2026-07-01 14:30 UTC", "2026-07-01T14:30Z"),
        ("2026-07-01T14:30Z", "2026-07-01T14:30Z"),
    ],
)
def test_a_time_is_read_as_it_is_meant(text: str, wanted: str) -> None:
    assert time_in(text, NOW) == datetime.fromisoformat(wanted)


@pytest.mark.parametrize(
    "text",
    ["", " ", "soon", "2 fortnights ago", "ago", "25:00", "yesterday 3", "2026-13-01", "14:00 Mars/Base", "1" * 200, "٣ h"],
)
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(InvalidArgument, match="yesterday 14:00"):
        time_in(text, NOW)


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{1,7} ?[a-z]{0,3}( ago)?", fullmatch=True))
def test_any_text_is_a_time_with_a_zone_or_refused(text: str) -> None:
    try:
        found = time_in(text, NOW)
    except InvalidArgument:
        return
    assert found.tzinfo is not None


def test_a_time_without_a_zone_may_be_in_another_than_that_of_the_system() -> None:
    assert time_in("yesterday 14:00", NOW, UTC) == datetime(2026, 11, 28, 14, tzinfo=UTC)
    assert time_in("2026-07-01 14:30", NOW, UTC) == datetime(2026, 7, 1, 14, 30, tzinfo=UTC)
    assert time_in("14:00 +02:00", NOW, UTC) == datetime(2026, 11, 28, 12, tzinfo=UTC)


def test_the_zone_is_shown() -> None:
    assert shown(time_in("yesterday 14:00", NOW)) == "2026-11-28 14:00:00 +0100"
    assert NOW - time_in("90 min ago", NOW) == timedelta(minutes=90)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("14:10", "2026-11-29T13:10Z"),
        ("10:00", "2026-11-30T09:00Z"),
        ("tomorrow 14:00", "2026-11-30T13:00Z"),
        ("today 14:00 UTC", "2026-11-29T14:00Z"),
        ("monday 23:00", "2026-11-30T22:00Z"),
        ("next sunday 10:00", "2026-12-06T09:00Z"),
        ("in 2 h", "2026-11-29T11:30Z"),
        ("in 1 h 30 min", "2026-11-29T11:00Z"),
        ("2027-03-01 08:00 UTC", "2027-03-01T08:00Z"),
    ],
)
def test_a_time_to_come_is_the_next_one(text: str, wanted: str) -> None:
    assert time_ahead(text, NOW) == datetime.fromisoformat(wanted)


@pytest.mark.parametrize("text", ["yesterday 14:00", "2 h ago", "2h", "in", "in 2 parsecs", "", "last monday"])
def test_what_can_not_be_a_time_to_come_is_refused_with_what_can(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"is not a time: write .*tomorrow 14:00, .*in 2 h"):
        time_ahead(text, NOW)


@pytest.mark.parametrize("text", ["today 10:00", "2026-11-28 10:00"])
def test_a_time_to_come_that_is_past_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"is 2026-11-2\d 10:00:00 \+0100, which is past"):
        time_ahead(text, NOW)
