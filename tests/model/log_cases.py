"""The cases of the log protocol: which faults each allows, and for each broken variant a small case that refutes it."""

from __future__ import annotations

from typing import Any

from tests.model.log_state import VARIANTS, Budget
from tests.model.logs import Logs

TAKE = Budget(takes=1)
SMALL: dict[str, Any] = {"left": TAKE}
REFUTED: dict[str, dict[str, Any]] = {
    "no read repair": {"left": Budget(takes=1, looks=1), "length": 1},
    "what is adopted is not written": {"left": Budget(takes=2), "length": 1},
    "acquire first, write what is adopted by a later plain write": {"left": Budget(takes=2), "servers": 3},
    "a client is shown rows without validation": {"left": Budget(takes=1, looks=1)},
    "a client reads at ONE": {"left": Budget(takes=1, looks=1), "length": 1},
    "a plain end, and a terminate that does not read": {"left": Budget(terminates=1)},
    "new content after an unknown outcome": {"left": TAKE, "message": True, "length": 1},
    "go on after an unknown turn": {"left": Budget(timeouts=1, turns=1)},
    "go on after an unknown release": {"left": Budget(timeouts=1, releases=1)},
    "a turn leaves out a row that is under way": {"left": Budget(turns=1, looks=1)},
    "a release leaves out a row that is under way": {"left": Budget(releases=1, looks=1)},
    "revocations expire": {"left": Budget(takes=1, drops=1)},
    "revocations expire, and what was read before is void": {"left": Budget(crashes=1, drops=1, looks=1), "length": 1},
    "a fence that is gone counts as open": {"left": Budget(takes=1, drops=1)},
    "a fence is dropped at QUORUM": {"left": Budget(takes=1, drops=1)},
    "no incarnation in the key of a row": {"left": Budget(takes=1, purges=1), "length": 1},
    "no incarnation in the condition": {"left": Budget(purges=1, takes=1, timeouts=1), "length": 1},
    "go on after an unknown change": {"left": Budget(timeouts=1, changes=1)},
    "a condition does not name the place": {"left": Budget(takes=1, changes=1)},
    "a change leaves out a row that is under way": {"left": Budget(takes=1, changes=1)},
    "a log is dropped while its fence is open": {"left": Budget(takes=1, crashes=1, log_drops=1), "length": 1},
    "a log is dropped without a look at the heads": {"left": Budget(log_drops=1, crashes=1)},
    "consumed at the acknowledgement": {"left": TAKE, "message": True, "length": 1},
    "the taker does not look for message ids": {"left": TAKE, "message": True},
}


HOLDS: dict[str, dict[str, Any]] = {
    "a take-over of a living owner": {"left": TAKE},
    "the same with a time-out": {"left": Budget(takes=1, timeouts=1)},
    "the same with a crash": {"left": Budget(takes=1, crashes=1)},
    "batches that overtake each other": {"left": TAKE, "pipe": 2},
    "two take-overs, three servers": {"left": Budget(takes=2), "length": 1, "servers": 3},
    "a client's look": {"left": Budget(takes=1, looks=1), "length": 1},
    "a turn of the log": {"left": Budget(takes=1, turns=1, timeouts=1), "length": 1},
    "a turn of the log, a client's look": {"left": Budget(turns=1, looks=1, timeouts=1), "length": 1},
    "a release": {"left": Budget(takes=1, releases=1, timeouts=1), "length": 1},
    "a release, a client's look": {"left": Budget(takes=1, releases=1, looks=1), "length": 1},
    "a terminate by force": {"left": Budget(takes=1, terminates=1, timeouts=1), "length": 1},
    "a fence is dropped": {"left": Budget(takes=1, drops=1, timeouts=1), "length": 1},
    "a fence is dropped, a client's look": {"left": Budget(crashes=1, drops=1, looks=1), "length": 1},
    "a log is dropped": {"left": Budget(takes=1, log_drops=1), "length": 1},
    "a log is dropped, a time-out": {"left": Budget(crashes=1, log_drops=1, timeouts=1), "length": 1},
    "a change": {"left": Budget(takes=1, changes=1)},
    "a change, a time-out": {"left": Budget(takes=1, changes=1, timeouts=1)},
    "a change, a client's look": {"left": Budget(takes=1, changes=1, looks=1), "length": 1},
    "a purge and a second life": {"left": Budget(takes=1, purges=1), "length": 1},
    "a purge and a second life, a time-out": {"left": Budget(crashes=1, purges=1, timeouts=1), "length": 1},
    "a purge, a client's look": {"left": Budget(purges=1, looks=1), "length": 1},
    "a message": {"left": Budget(takes=1, crashes=1), "message": True, "length": 1},
    "two runs in one batch, one is taken": {"left": TAKE, "runs": 2, "length": 1},
    "two runs in one batch, the server is closed": {"left": TAKE, "runs": 2, "length": 1, "bulk": True},
    "two runs in one batch, a crash in the middle": {"left": Budget(crashes=1), "runs": 2, "length": 1},
}
"""`left` is what may happen, each as often as it says."""


def holds(name: str) -> Logs:
    return Logs(**HOLDS[name])


def broken(variant: str) -> Logs:
    return Logs(variant, **REFUTED.get(variant, SMALL))


CASES = {f"logs, {name}": holds(name) for name in HOLDS}
BROKEN = {f"logs, broken: {variant}": (broken(variant), promise) for variant, (promise, _) in VARIANTS.items() if variant}
