"""Seals and opens what stands in a message of the protocol: payloads, failures, and the texts that may hold a value.

Both change the message in place and may be called again on it. What was opened is byte for byte what was sealed, but for large
values of a worker's run: those keep the hash of what the journal has, beside their data, and `Kept` what else belongs to it. So
a worker that replays a run counts it as the one did that made it.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from durable_saga.errors import CannotOpen, MissingKey, SealBroken
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.payloads import PAYLOAD_INLINE_BYTES_MAX, is_missing, large_bytes
from durable_saga.sealing.payload_codec import PayloadCodec, SealedData, Subject

TEXT_CHARACTERS_MAX = 3_500
"""Of a sealed text: it stands where a plain one of 4,000 may stand, with some words around it."""
SEALED_TEXTS = {
    "UnwindStarted": ("notes", "why"), "SettlingStarted": ("notes",), "StepSkipped": ("reason",),
    "CompensationSkipped": ("reason",),
}  # fmt: skip
"""By kind of message: texts of a worker that may tell values."""
_OPENED_TEXTS = {
    **SEALED_TEXTS, "Description": ("blocked", "from_journal"), "StepView": ("last_error", "compensation_error"),
    "MessageReply": ("waits_for",), "QueryReply": ("note", "refused"),
}  # fmt: skip
_CLEAR_OF_FAILURE = ("type", "bases", "not_applied", "non_retryable")
Kept = dict[bytes, tuple[p.Seal, int]]
"""By its hash, how a large value that is open here is sealed in the journal, and its size there. Of one run, in memory alone:
what comes from outside can't say that it is open."""
_TOKEN = re.compile(r"\[sealed [^\[\]]* ([A-Za-z0-9_-]+)\]")


class _Fields(NamedTuple):
    """Of one kind of message: where to go on, by field number."""

    inner: frozenset[int]
    sealed_texts: tuple[str, ...]
    opened_texts: tuple[str, ...]
    has_key: bool


class Sealing:
    """What a client or worker does with its codec."""

    def __init__(self, codec: PayloadCodec) -> None:
        self.codec = codec

    # --- sealing -------------------------------------------------------------------------------------------------------

    def seal(self, message: Any, subject: Subject, kept: Kept | None = None) -> bool:
        """Everything in it that is not sealed. True: something is. Raises MissingKey."""
        if isinstance(message, p.Payload):
            return self._seal_payload(message, subject, kept or {})
        if isinstance(message, p.Failure):
            return self._seal_failure(message, subject)
        fields, found = _fields_of(message.DESCRIPTOR), False
        for field, value in message.ListFields():
            if field.number in fields.inner:
                for one in _messages_in(value):
                    found |= self.seal(one, subject, kept)
        for name in fields.sealed_texts:
            found |= _replace(message, name, lambda text: self.hide(text, subject) if text else text)
        return found

    def seal_events(self, events: Sequence[h.Event], key: h.RunKey, kept: Kept) -> None:
        """Of a commit, whose large values are references where the journal has them."""
        subject = Subject(key.namespace, key.saga)
        for event in events:
            if not event.sealed and self.seal(event, subject, kept):
                event.sealed = True

    def hide(self, text: str, subject: Subject) -> str:
        """The text, sealed, as a text; its beginning if it is long. Raises MissingKey."""
        while True:
            sealed = self.codec.seal(text.encode(errors="backslashreplace"), subject)
            payload = p.Payload(data=sealed.data, seal=self._seal_of(sealed, subject))
            words = base64.urlsafe_b64encode(payload.SerializeToString()).decode().rstrip("=")
            if len(words) <= TEXT_CHARACTERS_MAX or len(text) < 100:
                return f"[sealed {sealed.key} {words}]"
            text = text[: len(text) * 3 // 4]

    def check(self, key: h.RunKey) -> None:
        """Whether the run's values can be sealed here. Raises MissingKey."""
        self.codec.seal(b"", Subject(key.namespace, key.saga))

    def _seal_of(self, sealed: SealedData, subject: Subject) -> p.Seal:
        return p.Seal(codec=self.codec.name, key=sealed.key, header=sealed.header, published=not subject.saga)

    def _seal_payload(self, payload: p.Payload, subject: Subject, kept: Kept) -> bool:
        if payload.HasField("seal"):
            return True
        if not payload.data:  # the journal has it, or there is none
            if payload.hash in kept:
                seal, payload.size = kept[payload.hash]
                payload.seal.CopyFrom(seal)
            return payload.HasField("seal")
        sealed = self.codec.seal(payload.data, subject)
        for name in ("hash", "size"):
            payload.ClearField(name)
        payload.data = sealed.data
        payload.seal.CopyFrom(self._seal_of(sealed, subject))
        return True

    def _seal_failure(self, failure: p.Failure, subject: Subject) -> bool:
        if failure.HasField("seal"):
            return True
        inner = p.Failure()
        inner.CopyFrom(failure)
        for name in _CLEAR_OF_FAILURE:
            inner.ClearField(name)
        sealed = self.codec.seal(inner.SerializeToString(), subject)
        message = self.hide(failure.message, subject) if failure.message else ""
        for field, _ in inner.ListFields():
            failure.ClearField(field.name)
        failure.message, failure.sealed = message, sealed.data
        failure.seal.CopyFrom(self._seal_of(sealed, subject))
        return True

    # --- opening -------------------------------------------------------------------------------------------------------

    def open_assigned(self, assign: w.Assign, kept: Kept) -> None:
        """The whole history and inbox of a run; its large values are there. Raises MissingKey and SealBroken."""
        subject = Subject(assign.key.namespace, assign.key.saga)
        for event in assign.events:
            if event.sealed or event.HasField("saga_started"):
                self.open(event, subject, kept=kept)
        for message in assign.inbox:
            self.open(message, subject, kept=kept)

    def open(self, message: Any, subject: Subject, *, strict: bool = True, kept: Kept | None = None) -> bool:
        """Everything in it whose data is there. False: something stays sealed. Raises MissingKey and SealBroken; without
        `strict`, what can't be opened stays sealed."""
        if isinstance(message, p.Payload | p.Failure):
            try:
                if isinstance(message, p.Payload):
                    self._open_payload(message, subject, kept)
                else:
                    self._open_failure(message, subject)
            except CannotOpen:
                if strict:
                    raise
            return not message.HasField("seal")
        fields = _fields_of(message.DESCRIPTOR)
        if fields.has_key and message.key.saga:
            subject = Subject(message.key.namespace, message.key.saga)
        if isinstance(message, h.SignalReceived) and message.input.seal.published:
            subject = Subject(subject.namespace, "", event=message.name)
        is_open = True
        for field, value in message.ListFields():
            if field.number in fields.inner:
                for one in _messages_in(value):
                    is_open &= self.open(one, subject, strict=strict, kept=kept)
        for name in fields.opened_texts:
            _replace(message, name, lambda text: self.shown(text, subject))
        if isinstance(message, h.Event) and is_open:
            _opened(message)
        return is_open

    def shown(self, text: str, subject: Subject) -> str:
        """The text with what is sealed in it opened, as far as that can be done here."""
        if "[sealed " not in text:
            return text
        return _TOKEN.sub(lambda found: self._open_token(found, subject), text)

    def _open_token(self, found: re.Match[str], subject: Subject) -> str:
        words = found[1]
        try:
            payload = p.Payload.FromString(base64.urlsafe_b64decode(words + "=" * (-len(words) % 4)))
            return self._open(payload.data, payload.seal, subject).decode(errors="replace")
        except (binascii.Error, DecodeError, CannotOpen):
            return found[0]

    def _open(self, data: bytes, seal: p.Seal, subject: Subject) -> bytes:
        if seal.codec != self.codec.name:
            raise MissingKey(f"a value is sealed by the codec {seal.codec!r}, and the one here is {self.codec.name!r}")
        if seal.published != (not subject.saga):
            raise SealBroken(f"a value sealed with the key {seal.key!r} was made for another place and is not opened here")
        return self.codec.open(SealedData(seal.key, seal.header, data), subject)

    def _open_payload(self, payload: p.Payload, subject: Subject, kept: Kept | None) -> None:
        if not payload.HasField("seal") or is_missing(payload):
            return
        payload.data = data = self._open(payload.data, payload.seal, subject)
        if kept is not None and payload.size and len(data) > PAYLOAD_INLINE_BYTES_MAX:
            seal = p.Seal()
            seal.CopyFrom(payload.seal)
            kept[payload.hash], payload.size = (seal, payload.size), len(data)
        else:
            for name in ("hash", "size"):
                payload.ClearField(name)
        payload.ClearField("seal")

    def _open_failure(self, failure: p.Failure, subject: Subject) -> None:
        if not failure.HasField("seal"):
            return
        data = self._open(failure.sealed, failure.seal, subject)
        for name in ("sealed", "seal", "message"):
            failure.ClearField(name)
        failure.MergeFrom(p.Failure.FromString(data))


def open_arrived(sealing: Sealing | None, arrived: w.Assign | h.InboxMessage, key: h.RunKey, kept: Kept) -> None:
    """What has reached a run on its worker. Raises MissingKey, SealBroken, and what a codec raises."""
    if isinstance(arrived, w.Assign):
        open_assigned(sealing, arrived, kept)
    else:
        open_message(sealing, arrived, key, kept)


def open_assigned(sealing: Sealing | None, assign: w.Assign, kept: Kept) -> None:
    """Before a run begins. Raises MissingKey, also where there is no codec and it is sealed, and SealBroken."""
    if sealing is not None:
        sealing.check(assign.key)
        sealing.open_assigned(assign, kept)
        return
    if assign.events[0].saga_started.input.HasField("seal") or any(event.sealed for event in assign.events):
        raise MissingKey("its values are sealed, and this worker has no codec: give connect() the one that sealed them")
    for message in assign.inbox:
        open_message(None, message, assign.key, kept)


def open_message(sealing: Sealing | None, message: h.InboxMessage, key: h.RunKey, kept: Kept) -> None:
    """One that has arrived. Raises as open_assigned() does."""
    if sealing is not None:
        sealing.open(message, Subject(key.namespace, key.saga), kept=kept)
    elif message.HasField("signal") and message.signal.input.HasField("seal"):
        raise MissingKey("a message to it is sealed, and this worker has no codec: give connect() the one that sealed it")


def check_open(sealing: Sealing | None, key: h.RunKey, payload: p.Payload) -> None:
    """Raises MissingKey and SealBroken for one that stayed sealed."""
    if payload.HasField("seal"):
        if sealing is None:
            raise MissingKey(f"the value is sealed with the key {payload.seal.key!r}: give connect() the codec that sealed it")
        sealing.open(payload, Subject(key.namespace, key.saga))


def hidden_reason(sealing: Sealing | None, reason: str, error: BaseException, key: h.RunKey) -> str:
    """Why a run is blocked, as the journal may keep it: it may tell values."""
    if sealing is None or isinstance(error, CannotOpen):
        return reason
    try:
        return f"{type(error).__name__}: {sealing.hide(reason, Subject(key.namespace, key.saga))}"
    except Exception:  # without a key the class has to do; the worker's log tells more
        return type(error).__name__


@functools.lru_cache(maxsize=1_000)
def _fields_of(kind: Any) -> _Fields:
    inner = frozenset(field.number for field in kind.fields if field.message_type is not None and _may_hold(field.message_type))
    key = kind.fields_by_name.get("key")
    has_key = key is not None and key.message_type is not None and key.message_type.name == "RunKey"
    return _Fields(inner, SEALED_TEXTS.get(kind.name, ()), _OPENED_TEXTS.get(kind.name, ()), has_key)


@functools.lru_cache(maxsize=1_000)
def _may_hold(kind: Any) -> bool:
    """Payloads, failures or texts, itself or anything in it."""
    todo, seen = [kind], set()
    while todo:
        one = todo.pop()
        if one.name in ("Payload", "Failure") or one.name in _OPENED_TEXTS:
            return True
        seen.add(one.full_name)
        inner = [field.message_type for field in one.fields if field.message_type is not None]
        todo += [found for found in inner if found.full_name not in seen]
    return False


def _opened(event: h.Event) -> None:
    """It counts as it did where it was made."""
    event.ClearField("sealed")
    if large := large_bytes(event):
        event.large_bytes = large
    else:
        event.ClearField("large_bytes")


def _messages_in(value: Any) -> Sequence[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return [value] if hasattr(value, "ListFields") else value


def _replace(message: Any, name: str, change: Any) -> bool:
    """A text or a list of them. True: it is not empty."""
    texts = getattr(message, name)
    if isinstance(texts, str):
        if texts:
            setattr(message, name, change(texts))
        return bool(texts)
    for place, text in enumerate(texts):
        texts[place] = change(text)
    return bool(texts)
