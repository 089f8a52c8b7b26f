"""Builds and roll-outs as plain data (docs/builds.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from durable_saga.client.overview import time_of
from durable_saga.client.sending import text
from durable_saga.errors import InvalidArgument
from durable_saga.pb import client_pb2 as c
from durable_saga.pb.limits import SHARE_MILLIONTHS_MAX


@dataclass(frozen=True, slots=True)
class RollOut:
    """Which build new sagas begin with: the `share` of them (0 to 1) with `build`, the others with `rest`; an empty `rest` is
    any other build. `type` is empty for all types that have no roll-out of their own. An empty `build`: the roll-out was ended.
    `warning` says what it can't do yet, such as that no worker with the build is connected."""

    build: str
    share: float
    rest: str
    type: str
    who: str
    reason: str
    since: datetime | None
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Build:
    """`name` is empty for sagas that have not begun, and for workers that tell no build. `workers` are connected to the server
    that was asked, and have the `types`. `share` of the new sagas begin with it (0 to 1); None: no roll-out says. `shares`
    are those of single types. `open` and `blocked` count the sagas that began with it, a moment ago. `roll_outs`: those of this
    build. `warning`: new sagas that are meant for it begin with other builds or wait, and why."""

    name: str
    workers: int
    types: tuple[str, ...]
    share: float | None
    shares: dict[str, float]
    open: int
    blocked: int
    roll_outs: tuple[RollOut, ...] = ()
    warning: str = ""

    @property
    def is_drained(self) -> bool:
        """No open saga began with it, and no new one is meant to: its workers can go."""
        return self.open == 0 and self.share == 0 and not any(self.shares.values())


def builds_of(reply: c.BuildsReply) -> list[Build]:
    return [_build(one, reply) for one in reply.builds]


def _build(one: c.BuildView, reply: c.BuildsReply) -> Build:
    shares = {roll_out.saga_type: _share(one.build, roll_out, reply) for roll_out in reply.roll_outs}
    found = {saga_type: share for saga_type, share in shares.items() if saga_type and share is not None}
    of_build = tuple(roll_out_of(roll_out) for roll_out in reply.roll_outs if roll_out.build == one.build)
    return Build(
        one.build, one.workers, tuple(one.saga_types), shares.get(""), found, one.open, one.blocked, of_build, one.warning
    )  # fmt: skip


def _share(build: str, roll_out: c.RollOut, reply: c.BuildsReply) -> float | None:
    """None: it has the rest together with others."""
    rest = SHARE_MILLIONTHS_MAX - roll_out.share_millionths
    if build == roll_out.build:
        return roll_out.share_millionths / SHARE_MILLIONTHS_MAX
    if roll_out.rest:
        return rest / SHARE_MILLIONTHS_MAX if build == roll_out.rest else 0.0
    others = [one.build for one in reply.builds if one.build != roll_out.build and one.workers]
    if not rest or build not in others:
        return 0.0
    return rest / SHARE_MILLIONTHS_MAX if others == [build] else None


def share_in(text: str) -> float:
    """5% or 0.05, as a part of 1. Raises InvalidArgument."""
    text = text.strip()
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InvalidArgument(f"{text!r} is no share: use 0% to 100%, such as 5%, or 0.05")
    return share


def percent(share: float) -> str:
    return f"{share * 100:.4f}".rstrip("0").rstrip(".") + "%"


def shares_of(one: Build) -> str:
    """`5%, pay 100%`; a dash: no roll-out says."""
    said = [] if one.share is None else [percent(one.share)]
    said += [f"{saga_type} {percent(share)}" for saga_type, share in one.shares.items()]
    return ", ".join(said) or "-"


def words_of(done: RollOut) -> str:
    """What a call has led to, as a sentence without a full stop."""
    of = f"sagas of type {done.type}" if done.type else "sagas"
    if not done.build:
        return f"New {of} begin with any build that has room"
    words = f"{done.build}: {percent(done.share)} of new {of} begin with it"
    return words if done.share == 1 else f"{words}, the others with {done.rest or 'any other build'}"


def millionths(share: object) -> int:
    """Raises InvalidArgument."""
    if isinstance(share, bool) or not isinstance(share, int | float) or not math.isfinite(share) or not 0 <= share <= 1:
        raise InvalidArgument(f"share is {share!r}: give the part of new sagas from 0 to 1, such as 0.05 for 5%")
    found = round(share * SHARE_MILLIONTHS_MAX)
    if share and not found:
        raise InvalidArgument(f"share is {share!r}: the smallest one is {1 / SHARE_MILLIONTHS_MAX:.6f}")
    return found


def roll_out_request(namespace: str, build: str, share: float, saga_type: str, said: dict[str, str]) -> c.RollOutRequest:
    """`said`: why, and who. Raises InvalidArgument."""
    return c.RollOutRequest(
        namespace=namespace, build=text("build", build), share_millionths=millionths(share), saga_type=text("type", saga_type),
        **said,
    )  # fmt: skip


def roll_out_of(one: c.RollOut, warning: str = "") -> RollOut:
    return RollOut(
        one.build, one.share_millionths / SHARE_MILLIONTHS_MAX, one.rest, one.saga_type, one.who, one.reason,
        time_of(one.since_ms), warning,
    )  # fmt: skip


def rolled_out(asked: c.RollOutRequest, reply: Any) -> RollOut:
    """What a call has led to."""
    ended = c.RollOut(saga_type=asked.saga_type, who=asked.who, reason=asked.reason)
    return roll_out_of(reply.roll_out if asked.build else ended, reply.warning)
