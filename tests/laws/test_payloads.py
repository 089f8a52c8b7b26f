"""Laws of large payloads: a reference stands for its value everywhere, and nothing counts them differently."""

from __future__ import annotations

import asyncio

from durable_saga_server.clock import SystemClock
from durable_saga_server.config import Config
from durable_saga_server.journal import Run
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.large import LargePayloads
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.payloads import (
    FRAME_BYTES_MAX,
    FRAME_ITEMS_MAX,
    PAYLOAD_INLINE_BYTES_MAX,
    items_in_frame,
    missing_in,
    payloads,
)
from durable_saga.replay.history import History
from durable_saga.transport.fetching import fill, needed
from tests.hypothesis_profile import examples

KEY = h.RunKey(namespace="n", saga="s", run=1)
sizes = st.sampled_from(
    [0, 1, 100, PAYLOAD_INLINE_BYTES_MAX, PAYLOAD_INLINE_BYTES_MAX + 1, 128 * 1024, 128 * 1024 + 1, 1_500_000]
)

values = st.builds(lambda size, byte: bytes([byte]) * size, sizes, st.integers(0, 3))


def event_of(kind: str, values: list[bytes]) -> h.Event:
    first = p.Payload(data=values[0])
    if kind == "state":
        return h.Event(state_changed=h.StateChanged(changes={str(n): p.Payload(data=one) for n, one in enumerate(values)}))
    if kind == "signal":
        return h.Event(signal_received=h.SignalReceived(message_id="m", name="n", input=first))
    if kind == "end":
        return h.Event(saga_ended=h.SagaEnded(status=h.COMPLETED, result=first))
    return h.Event(step_scheduled=h.StepScheduled(call="1", name="n", input=first))


events = st.builds(event_of, st.sampled_from(["state", "signal", "end", "step"]), st.lists(values, min_size=1, max_size=3))


@settings(max_examples=examples(60))
@given(st.lists(events, min_size=1, max_size=4))
def test_what_is_kept_as_a_reference_is_filled_again_and_counts_the_same(history: list[h.Event]) -> None:
    asyncio.run(keep_and_fill(history))


async def keep_and_fill(history: list[h.Event]) -> None:
    before, after, filled = History(), History(), History()
    for event in history:
        before.append(event, 1)
    large = LargePayloads(MemoryJournal(), SystemClock(), Config())

    async def fetch(key: h.RunKey, payload: p.Payload) -> bytes:
        return (await large.fetch(c.FetchRequest(key=key, hash=payload.hash, size=payload.size))).data

    for event in history:
        kept = await large.detach(Run("n", "s"), event)
        assert all(len(one.data) <= PAYLOAD_INLINE_BYTES_MAX for one in payloads(kept))
        after.count(kept)
        whole = h.Event.FromString(kept.SerializeToString())
        await fill(KEY, missing_in(whole), fetch)
        assert sorted(one.data for one in payloads(whole)) == sorted(one.data for one in payloads(event))  # a map has no order
        filled.count(whole)
    assert (after._bytes, after._large_bytes) == (before._bytes, before._large_bytes)
    assert (filled._bytes, filled._large_bytes) == (before._bytes, before._large_bytes)


@settings(max_examples=examples(60))
@given(st.lists(st.sampled_from([10, 1_000_000, FRAME_BYTES_MAX + 1]), min_size=1, max_size=20))
def test_frames_hold_everything_once_in_order_and_are_bounded(sizes: list[int]) -> None:
    items = [w.WorkerItem(commit=w.Commit(request=n, commit_id=b"x" * size)) for n, size in enumerate(sizes)]
    left, sent = list(items), []
    while left:
        count = items_in_frame([item.ByteSize() for item in left])
        assert count == 1 or sum(item.ByteSize() for item in left[:count]) <= FRAME_BYTES_MAX
        sent += left[:count]
        left = left[count:]
    assert sent == items
    assert items_in_frame([1] * 2000) <= FRAME_ITEMS_MAX


def reference(size: int = 20_000) -> p.Payload:
    return p.Payload(hash=b"h" * 32, size=size)


def test_a_replay_fetches_all_but_the_arguments_of_steps_that_are_done_with() -> None:
    def step(call: str, compensation: str = "") -> h.Event:
        return h.Event(large_bytes=1, step_scheduled=h.StepScheduled(call=call, input=reference(), compensation=compensation))

    def done(call: str) -> h.Event:
        return h.Event(large_bytes=1, step_completed=h.StepCompleted(call=call, result=reference()))

    state = h.Event(large_bytes=1, state_changed=h.StateChanged(changes={"k": reference()}))
    assert len(needed(w.Assign(events=[step("1"), done("1"), step("2", "undo"), done("2"), step("3"), state]))) == 4
    signal = h.InboxMessage(signal=h.SignalReceived(input=reference()))
    assert len(needed(w.Assign(inbox=[signal]))) == 1
