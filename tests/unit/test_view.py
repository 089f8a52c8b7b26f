"""What a history says of messages and of settling, as Describe shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from durable_saga_server.history.message_view import MESSAGES_SHOWN_MAX
from durable_saga_server.history.view import fold

from durable_saga.client.overview import overview_of
from durable_saga.page.events import lines_of
from durable_saga.page.showing import waits_for
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p


def seen(*events: h.Event, status: str = "RUNNING", inbox: Sequence[h.InboxMessage] = ()) -> c.Description:
    for seq, event in enumerate(events):
        event.seq, event.time_ms = seq, 1_000 + seq
    view = c.Description(status=status)
    fold(events, view, inbox)
    return view


def came(message_id: str, name: str = "add") -> h.Event:
    return h.Event(signal_received=h.SignalReceived(message_id=message_id, name=name))


def states(view: c.Description) -> dict[str, str]:
    return {one.message_id: one.state for one in view.messages}


SETTLING = h.Event(settling_started=h.SettlingStarted(pending=["1"]))
CHARGED = h.Event(step_scheduled=h.StepScheduled(call="1", name="charge", compensation="refund"))


def test_a_message_that_its_handler_rejected_is_shown_with_the_reason_while_the_saga_goes_on() -> None:
    rejected = h.SignalRejected(message_id="m1", name="add", failure=p.Failure(type="ValueError", message="too many"))
    event = h.Event(signal_rejected=rejected)
    view = seen(came("m1"), event, came("m2"))
    assert states(view) == {"m1": "rejected", "m2": "taken"}
    assert view.messages[0].failure.message == "too many"
    assert view.messages[0].received_ms == 1_000
    (line,) = lines_of([event])
    assert (line.words, line.tone) == ("the message add was rejected: ValueError: too many", "bad")


def test_what_comes_when_the_code_is_done_is_unread_and_what_was_read_is_not_shown_at_the_end() -> None:
    ended = h.Event(saga_ended=h.SagaEnded(status="COMPENSATED", unread=["m2"]))
    unwind = h.Event(unwind_started=h.UnwindStarted())
    view = seen(came("m1"), came("m2"), unwind, came("m3"), ended, status="COMPENSATED")
    assert states(view) == {"m2": "unread", "m3": "unread"}
    part = h.Event(unwind_started=h.UnwindStarted(call="2"))
    assert states(seen(part, came("m1"))) == {"m1": "taken"}, "the saga goes on beside the undoing of a scope"
    assert states(seen(CHARGED, SETTLING, came("m1"))) == {"m1": "unread"}


def test_what_waits_is_shown_requests_first_and_bounded() -> None:
    signals = [
        h.InboxMessage(message_id=f"m{n}", signal=h.SignalReceived(message_id=f"m{n}", name="add"))
        for n in range(MESSAGES_SHOWN_MAX)
    ]
    decision = h.CompensationDecided(message_id="d", call="1", verb=h.CompensationDecided.SKIP, note="by hand", who="ann")
    view = seen(inbox=[*signals, h.InboxMessage(message_id="d", decision=decision)])
    first = view.messages[0]
    assert (first.kind, first.name, first.call, first.who, first.reason) == ("decision", "skip", "1", "ann", "by hand")
    assert (len(view.messages), view.messages_left_out) == (MESSAGES_SHOWN_MAX, 1)


def test_settling_is_told_and_what_is_in_doubt_waits_for_its_turn() -> None:
    view = seen(CHARGED, SETTLING)
    assert view.settling
    assert view.steps[0].compensation_state == "pending"
    assert overview_of(view).settling
    assert not overview_of(view).can_compensate()
    assert any("in doubt" in sentence for sentence in waits_for(c.Description(status="RUNNING", owner="w", settling=True), 0))
    over: Any = h.Event(saga_ended=h.SagaEnded(status="COMPLETED"))
    assert not seen(CHARGED, SETTLING, over, status="COMPLETED").settling


def test_a_compensation_tells_since_when_it_fails() -> None:
    def failed(attempt: int) -> h.Event:
        body = h.CompensationAttemptFailed(call="1", attempt=attempt, failure=p.Failure(type="ConnectionError"))
        return h.Event(compensation_attempt_failed=body)

    begun = h.Event(compensation_scheduled=h.CompensationScheduled(call="1", name="refund"))
    view = seen(CHARGED, begun, failed(1), failed(2), status="COMPENSATING")
    assert view.steps[0].compensation_failing_ms == 1_002
    done = h.Event(compensation_completed=h.CompensationCompleted(call="1", attempt=3))
    assert seen(CHARGED, begun, failed(1), done).steps[0].compensation_failing_ms == 0
