"""A message is consumed by no commit but the one of its event, however often a server brings it."""

from __future__ import annotations

from collections.abc import Sequence

from durable_saga.pb import history_pb2 as h
from durable_saga.worker.inbox import Inbox


def message(number: int) -> h.InboxMessage:
    return h.InboxMessage(message_id=f"m{number}", signal=h.SignalReceived(message_id=f"m{number}", name="go"))


def taken(inbox: Inbox, numbers: Sequence[int]) -> list[h.Event]:
    events = [inbox.take(message(number)) for number in numbers]
    return [event for event in events if event is not None]


def test_a_message_that_comes_again_before_its_event_is_committed_is_not_consumed_by_an_earlier_commit() -> None:
    inbox = Inbox([])
    events = taken(inbox, [1, 2, 3])
    assert taken(inbox, [3]) == [], "it was taken"
    assert inbox.consumed(events[:2]) == ["m1", "m2"], "the event of m3 is not in this commit"
    inbox.committed(["m1", "m2"])
    assert taken(inbox, [3]) == []
    assert inbox.spent == [], "nor by a release that drops what was not committed"
    assert inbox.consumed(events[2:]) == ["m3"]


def test_a_message_whose_event_is_in_the_history_is_consumed_when_it_comes_again() -> None:
    (event,) = taken(Inbox([]), [1])
    inbox = Inbox([event])
    assert taken(inbox, [1]) == []
    (second,) = taken(inbox, [2])
    inbox.committed(inbox.consumed([second]))
    assert taken(inbox, [2]) == []
    assert inbox.spent == ["m2"], "a server died between its commit and the inbox"


def test_a_message_that_is_left_for_the_next_run_stays_when_it_comes_again() -> None:
    inbox = Inbox([])
    taken(inbox, [1])  # the core does not record it, and nobody spends it
    assert taken(inbox, [1]) == []
    assert inbox.consumed([]) == []


def test_a_message_of_no_interest_is_consumed_with_what_is_committed_next() -> None:
    inbox = Inbox([])
    taken(inbox, [1])
    inbox.spend("m1")
    assert inbox.consumed([]) == ["m1"]
