"""Which build a new run begins with: a switch for each saga type that has a roll-out, and one for all the others. Its value
is a RollOut.

The side of a run follows from the id of its saga and the build that is rolled out: every server decides alike, and who is among
the first 5 % stays there when it becomes 20 % (docs/builds.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from durable_saga.pb import client_pb2 as c
from durable_saga.pb.limits import SHARE_MILLIONTHS_MAX
from durable_saga_server.journal import Run
from durable_saga_server.workers.switches import Switches

NAME = "roll-out/"


class Side(NamedTuple):
    """New runs that are to begin with `build`, or, where that is empty, with any but `but`. Never with `never`, a build
    that was given no share, not even while no other one is connected."""

    build: str
    but: str = ""
    never: str = ""

    def takes(self, build: str) -> bool:
        return build == self.build if self.build else build != self.but


class RollOuts:
    """`set` and `clear` raise JournalError."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._types: dict[tuple[str, str], c.RollOut] = {}
        self._listeners: list[Callable[[], None]] = []
        switches.on_change(self._look)

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def of(self, namespace: str) -> list[c.RollOut]:
        """In order of their types; that of all other types is the first."""
        return [one for (of, _), one in sorted(self._types.items(), key=lambda item: item[0]) if of == namespace]

    def side(self, run: Run, saga_type: str) -> Side | None:
        """Of a run that has not begun. None: there is no roll-out, any build will do."""
        one = self.that_counts(run.namespace, saga_type)
        if one is None:
            return None
        return Side(one.build) if is_among(run.saga, one) else rest_of(one)

    def that_counts(self, namespace: str, saga_type: str) -> c.RollOut | None:
        """For runs of this type."""
        if not self._types:
            return None
        return self._types.get((namespace, saga_type)) or self._types.get((namespace, ""))

    async def set(self, namespace: str, roll_out: c.RollOut) -> tuple[c.RollOut, bool]:
        """As it is now, and whether it is another than before. `rest` is what all new runs began with before."""
        found, is_changed = roll_out, False

        def change(was: bytes) -> bytes:
            nonlocal found, is_changed
            before = c.RollOut.FromString(was)
            found = c.RollOut()
            found.CopyFrom(roll_out)
            found.rest = _rest_after(before, roll_out.build)
            is_changed = (before.build, before.share_millionths, before.rest) != (
                found.build, found.share_millionths, found.rest,
            )  # fmt: skip
            return found.SerializeToString()

        await self._switches.put(namespace, NAME + roll_out.saga_type, change)
        return found, is_changed

    async def clear(self, namespace: str, saga_type: str) -> bool:
        """Whether there was one."""
        return await self._switches.put(namespace, NAME + saga_type, lambda _: b"")

    def _look(self) -> None:
        found = {
            (switch.namespace, switch.name.removeprefix(NAME)): c.RollOut.FromString(switch.value)
            for switch in self._switches.named(NAME)
        }
        if found != self._types:
            self._types = found
            for listener in self._listeners:
                listener()


def is_among(saga: str, roll_out: c.RollOut) -> bool:
    """Whether new runs of this saga begin with the build that is rolled out."""
    digest = hashlib.sha256(f"{roll_out.build}\0{saga}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * SHARE_MILLIONTHS_MAX >> 64 < roll_out.share_millionths


def rest_of(roll_out: c.RollOut) -> Side:
    never = roll_out.build if not roll_out.share_millionths else ""
    return Side(roll_out.rest, never=never) if roll_out.rest else Side("", roll_out.build, never)


def _rest_after(before: c.RollOut, build: str) -> str:
    """The build for those that do not get `build`: the one that had all before it, else the one that had the rest."""
    if not before.build:
        return ""
    if before.build != build and before.share_millionths >= SHARE_MILLIONTHS_MAX:
        return before.build
    return before.rest if before.rest != build else ""
