"""Messages that nobody would send, made from the protocol's own descriptors and a seed.

A field gets a value at the edge of its type, or one that means something to this server (an id, a run of somebody else's);
some messages are then damaged as bytes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Field

INTEGERS = (0, 1, 2, 3, 10, 255, 999, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**62, 2**63 - 1, 2**64 - 1, -1, -(2**31), -(2**63))
LENGTHS = (0, 1, 15, 16, 17, 32, 255, 256, 1_000, 4_001, 20_000)
TEXTS = ("", "a", "\x00", "\x1b]0;owned\x07", "two\nlines", "…", "../x", "'; DROP TABLE heads; --", "9" * 30 + "/0/x", "1/1/a")
DEPTH_MAX = 4
_RANGES = {
    Field.TYPE_INT32: (-(2**31), 2**31 - 1), Field.TYPE_INT64: (-(2**63), 2**63 - 1), Field.TYPE_UINT32: (0, 2**32 - 1),
    Field.TYPE_UINT64: (0, 2**64 - 1), Field.TYPE_ENUM: (-(2**31), 2**31 - 1),
}  # fmt: skip


class Nonsense:
    """`words`: by the name of a field, texts that it may hold beside any others; `sane`: the share of those."""

    def __init__(self, dice: random.Random, words: Mapping[str, Sequence[str]], sane: float = 0.8) -> None:
        self._dice = dice
        self._words = words
        self._sane = sane

    def message(self, kind: Any, depth: int = 0) -> Any:
        made = kind()
        for field in kind.DESCRIPTOR.fields:
            if self._dice.random() < 0.35 or depth > DEPTH_MAX:
                continue
            if field.is_repeated:
                self._repeat(made, field, depth)
            elif field.message_type is not None:
                getattr(made, field.name).CopyFrom(self.message(_class_of(made, field), depth + 1))
            else:
                setattr(made, field.name, self._value(field))
        return made

    def _repeat(self, made: Any, field: Field, depth: int) -> None:
        count, there = self._dice.choice((0, 1, 1, 2, 3)), getattr(made, field.name)
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
            for _ in range(count):
                if value.message_type is None:
                    there[self._value(key)] = self._value(value)
                else:
                    there[self._value(key)].SetInParent()
            return
        for _ in range(count):
            if entry is not None:
                there.add().CopyFrom(self.message(type(there.add()), depth + 1))
            else:
                there.append(self._value(field))

    def _value(self, field: Field) -> Any:
        dice = self._dice
        if field.type == Field.TYPE_STRING:
            if field.name in self._words and dice.random() < self._sane:
                return dice.choice(self._words[field.name])
            return dice.choice(TEXTS) if dice.random() < 0.7 else "x" * dice.choice(LENGTHS)
        if field.type == Field.TYPE_BYTES:
            return dice.randbytes(dice.choice(LENGTHS))
        if field.type == Field.TYPE_BOOL:
            return dice.random() < 0.5
        least, most = _RANGES[field.type]
        if field.enum_type is not None and dice.random() < self._sane:
            return dice.choice([one.number for one in field.enum_type.values])
        return min(max(dice.choice(INTEGERS[:5] if dice.random() < self._sane else INTEGERS), least), most)

    def damaged(self, data: bytes) -> bytes:
        """The same with some bytes changed, cut off or put in."""
        found = bytearray(data)
        for _ in range(self._dice.randint(1, 4)):
            at = self._dice.randrange(len(found) + 1)
            what = self._dice.randrange(3)
            if what == 0 and at < len(found):
                found[at] = self._dice.randrange(256)
            elif what == 1:
                del found[at : at + self._dice.randint(1, 20)]
            else:
                found[at:at] = self._dice.randbytes(self._dice.randint(1, 20))
        return bytes(found)


def _class_of(made: Any, field: Field) -> Any:
    return type(getattr(made, field.name))
