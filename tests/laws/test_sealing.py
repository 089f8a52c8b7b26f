"""Laws of sealing: what is sealed is opened to itself at its place, and to nothing anywhere else or after any change."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_saga.errors import MissingKey, SealBroken
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb.payloads import PAYLOAD_BYTES_MAX, PAYLOAD_INLINE_BYTES_MAX, hash_of, large_bytes, payloads
from durable_saga.sealing import KeyRing, Sealed, SealedData, Subject
from durable_saga.sealing import sealed as sealing_module
from durable_saga.sealing.messages import SEALED_TEXTS, Kept, Sealing

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
RING = KeyRing({"default:1": KEY, "other:1": OTHER})
CODEC = Sealed(RING)
HERE = Subject("n", "s")
texts = st.text(st.characters(codec="utf-8"), max_size=8)
subjects = st.one_of(
    st.builds(Subject, texts, texts.filter(bool)), st.builds(lambda n, e: Subject(n, "", event=e), texts, texts)
)
values = st.one_of(
    st.binary(max_size=300), st.builds(lambda one, times: one * times, st.binary(min_size=1, max_size=9), st.integers(1, 400))
)
large = st.builds(lambda one: one * (PAYLOAD_INLINE_BYTES_MAX // len(one) + 2), st.binary(min_size=1, max_size=50))


def changed(data: bytes, place: int, flip: int) -> bytes:
    place %= len(data)
    return data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :]


def with_bytes(one: SealedData, where: str, data: bytes) -> SealedData:
    return one._replace(header=data) if where == "header" else one._replace(data=data)


@given(values, subjects)
def test_what_is_sealed_is_opened_to_itself_and_is_never_longer(data: bytes, subject: Subject) -> None:
    for codec in (CODEC, Sealed(RING, compress=False)):
        one, again = codec.seal(data, subject), codec.seal(data, subject)
        assert CODEC.open(one, subject) == data
        assert len(one.data) <= len(data)
        assert one.header != again.header, "equal values don't look alike"
        assert len(data) < 16 or data not in one.data


@given(values, st.integers(0, 10_000), st.integers(1, 255), st.sampled_from(["header", "data"]))
def test_any_change_is_found(data: bytes, place: int, flip: int, where: str) -> None:
    one = CODEC.seal(data, HERE)
    if not getattr(one, where):
        return
    with pytest.raises(SealBroken):
        CODEC.open(with_bytes(one, where, changed(getattr(one, where), place, flip)), HERE)


@given(values, st.integers(1, 10_000), st.sampled_from(["header", "data"]), st.binary(min_size=1, max_size=3))
def test_what_is_cut_off_or_made_longer_is_found(data: bytes, cut: int, where: str, more: bytes) -> None:
    one = CODEC.seal(data, HERE)
    whole = getattr(one, where)
    for broken in (whole[: max(len(whole) - cut, 0)], whole + more):
        if broken != whole:
            with pytest.raises(SealBroken):
                CODEC.open(with_bytes(one, where, broken), HERE)


@given(values, subjects, subjects)
def test_what_is_moved_is_not_opened(data: bytes, here: Subject, there: Subject) -> None:
    one = CODEC.seal(data, here)
    if here.place == there.place:
        assert CODEC.open(one, there) == data
        return
    with pytest.raises(SealBroken):
        CODEC.open(one, there)


@given(values)
def test_another_key_opens_nothing_and_a_missing_one_is_named(data: bytes) -> None:
    one = CODEC.seal(data, HERE)
    with pytest.raises(SealBroken):
        Sealed(KeyRing({"default:1": OTHER})).open(one, HERE)
    with pytest.raises(SealBroken):
        CODEC.open(one._replace(key="other:1"), HERE)
    with pytest.raises(MissingKey, match="'default:1'"):
        Sealed(KeyRing({"default:2": KEY})).open(one, HERE)


@given(st.lists(values, min_size=1, max_size=4))
def test_after_each_rotation_all_that_was_sealed_before_is_opened(several: list[bytes]) -> None:
    ring: dict[str, bytes] = {}
    kept: list[SealedData] = []
    for version, data in enumerate(several, 1):
        ring[f"default:{version}"] = os.urandom(32)
        kept.append(Sealed(KeyRing(ring)).seal(data, HERE))
        assert kept[-1].key == f"default:{version}"
        assert [Sealed(KeyRing(ring)).open(one, HERE) for one in kept] == several[:version]


@given(st.binary(max_size=80), st.binary(max_size=80), texts)
def test_bytes_from_anywhere_are_refused_in_words(header: bytes, data: bytes, key: str) -> None:
    with pytest.raises((SealBroken, MissingKey)):
        CODEC.open(SealedData(key, header, data), HERE)
    with pytest.raises(SealBroken):
        CODEC.open(SealedData("default:1", header, data), HERE)


def test_what_expands_without_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing_module, "COMPRESS_BYTES_MAX", 2 * PAYLOAD_BYTES_MAX)
    whole = CODEC.seal(bytes(PAYLOAD_BYTES_MAX), HERE)
    assert len(whole.data) < PAYLOAD_BYTES_MAX // 100
    assert CODEC.open(whole, HERE) == bytes(PAYLOAD_BYTES_MAX)
    monkeypatch.setattr(sealing_module, "PAYLOAD_BYTES_MAX", PAYLOAD_BYTES_MAX - 1)
    with pytest.raises(SealBroken, match="expands to more"):
        CODEC.open(whole, HERE)


# --- whole messages -----------------------------------------------------------------------------------------------------


SECRET = "Kowalski-DE7551"


def secret_of(kind: Any, depth: int = 0) -> Any:
    """A message of that kind, with a secret wherever one may stand."""
    message = kind._concrete_class()
    for field in kind.fields:
        if field.containing_oneof is not None and field.containing_oneof.name == "kind":
            continue
        into = getattr(message, field.name)
        if kind.name == "Payload":
            message.data = SECRET.encode()
        elif kind.name == "Failure" and field.name in ("message", "traceback", "code"):
            setattr(message, field.name, SECRET)
        elif kind.name == "Failure" and field.name in ("attributes", "args"):
            setattr(message, field.name, SECRET.encode())
        elif (kind.name == "Failure" and field.name == "notes") or (
            field.name in SEALED_TEXTS.get(kind.name, ()) and not isinstance(into, str)
        ):
            into.append(SECRET)
        elif field.name in SEALED_TEXTS.get(kind.name, ()):
            setattr(message, field.name, SECRET)
        elif field.message_type is not None and depth < 3 and field.message_type.name != "Seal":
            if field.message_type.GetOptions().map_entry:
                if field.message_type.fields_by_name["value"].message_type is not None:
                    into["a"].data = SECRET.encode()
            elif hasattr(into, "append"):
                into.append(secret_of(field.message_type, depth + 1))
            else:
                into.CopyFrom(secret_of(field.message_type, depth + 1))
    return message


KINDS = [field.name for field in h.Event.DESCRIPTOR.oneofs_by_name["kind"].fields]


@pytest.mark.parametrize("kind", KINDS)
def test_no_event_leaves_with_a_secret_and_each_comes_back_byte_for_byte(kind: str) -> None:
    event = h.Event(seq=3, time_ms=9)
    getattr(event, kind).CopyFrom(secret_of(h.Event.DESCRIPTOR.fields_by_name[kind].message_type))
    before = h.Event.FromString(event.SerializeToString())
    holds = SECRET.encode() in event.SerializeToString()
    sealing = Sealing(CODEC)
    sealing.seal_events([event], h.RunKey(namespace="n", saga="s", run=1), {})
    assert SECRET.encode() not in event.SerializeToString()
    assert event.sealed == holds
    once = event.SerializeToString()
    sealing.seal_events([event], h.RunKey(namespace="n", saga="s", run=1), {})
    assert event.SerializeToString() == once, "what is sealed stays as it is"
    moved = h.Event.FromString(once)
    if holds and kind not in SEALED_KINDS_OF_TEXTS:
        with pytest.raises(SealBroken):
            sealing.open(moved, Subject("n", "other"))
    sealing.open(event, HERE)
    assert event == before


SEALED_KINDS_OF_TEXTS = {"step_skipped", "compensation_skipped", "settling_started"}
"""Texts that can't be opened are shown as they are."""


@given(st.lists(st.one_of(values, large), min_size=1, max_size=3), st.one_of(values, large))
def test_an_opened_event_counts_as_the_one_that_was_made(several: list[bytes], result: bytes) -> None:
    """The server keeps what is large after sealing as chunks, and the worker that replays has fetched them."""
    made = h.Event(seq=1, time_ms=1, state_changed=h.StateChanged(call="0"))
    for number, data in enumerate([*several, result]):
        made.state_changed.changes[str(number)].data = data
    if made.ByteSize() > PAYLOAD_INLINE_BYTES_MAX:
        made.large_bytes = large_bytes(made)
    event = h.Event.FromString(made.SerializeToString())
    sealing, kept = Sealing(CODEC), Kept()
    sealing.seal_events([event], h.RunKey(namespace="n", saga="s", run=1), kept)
    assert not kept
    chunks: dict[bytes, bytes] = {}
    for payload in payloads(event):
        if len(payload.data) > PAYLOAD_INLINE_BYTES_MAX:
            payload.hash, payload.size = hash_of(payload.data), len(payload.data)
            chunks[payload.hash] = payload.data
            payload.ClearField("data")
    event.large_bytes = sum(payload.size for payload in payloads(event))
    in_journal = h.Event.FromString(event.SerializeToString())
    for payload in payloads(event):
        if payload.size:
            payload.data = chunks[payload.hash]
    assert sealing.open(event, HERE, kept=kept)
    assert sealing.open(event, HERE, kept=kept)  # a replay that begins again
    assert event.large_bytes == made.large_bytes
    for name, payload in event.state_changed.changes.items():
        assert payload.data == made.state_changed.changes[name].data
        assert (payload.size or len(payload.data)) == len(payload.data)
    # what goes into the history with a reference, as a large message does, is what the journal has
    for payload in payloads(event):
        if payload.hash:
            payload.ClearField("data")
    for name, payload in event.state_changed.changes.items():
        if not payload.data and payload.size:
            sealing.seal(payload, HERE, kept)
            assert payload == in_journal.state_changed.changes[name]


@given(st.text(max_size=9_000))
def test_a_text_is_sealed_as_a_text_that_fits(text: str) -> None:
    sealing = Sealing(CODEC)
    hidden = sealing.hide(text, HERE)
    assert len(hidden) <= 3_600
    shown = sealing.shown(f"NonDeterminism: {hidden}, or so", HERE)
    clear = text.encode(errors="backslashreplace").decode()
    assert shown.startswith("NonDeterminism: ")
    assert shown.endswith(", or so")
    told = shown.removeprefix("NonDeterminism: ").removesuffix(", or so")
    assert clear.startswith(told)
    assert told == clear or len(text) > 1_000
    assert sealing.shown(hidden, Subject("n", "other")) == hidden


def test_a_published_value_is_opened_as_a_message_of_its_name_alone() -> None:
    sealing = Sealing(CODEC)
    published = p.Payload(data=SECRET.encode())
    sealing.seal(published, Subject("n", "", "key", "paid"))
    right = h.InboxMessage(message_id="m", signal=h.SignalReceived(name="paid", input=published))
    sealing.open(right, Subject("n", "any"))
    assert right.signal.input.data == SECRET.encode()
    renamed = h.InboxMessage(message_id="m", signal=h.SignalReceived(name="other", input=published))
    elsewhere = h.Event(step_completed=h.StepCompleted(result=published))
    for wrong in (renamed, elsewhere):
        with pytest.raises(SealBroken):
            sealing.open(wrong, Subject("n", "any"))
