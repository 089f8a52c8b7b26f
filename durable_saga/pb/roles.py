"""Roles, and which of them may call what: one table of calls and one of the items of a Work stream. Servers decide by it; the page shows
what its user may do.

A pattern is a name, or its beginning and a `*` that stands for anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Role(StrEnum):
    READER = "reader"
    SENDER = "sender"
    OPERATOR = "operator"
    WORKER = "worker"
    MONITOR = "monitor"
    ADMIN = "admin"


EVERY = frozenset(Role)
_READ = frozenset({Role.READER, Role.OPERATOR, Role.MONITOR, Role.ADMIN})
_SEND = frozenset({Role.SENDER, Role.ADMIN})
_OPERATE = frozenset({Role.OPERATOR, Role.ADMIN})
WORKING = frozenset({Role.WORKER, Role.ADMIN})
_ADMIN = frozenset({Role.ADMIN})
READING = ("Describe", "History", "Wait", "List", "Statistics", "Changes", "Builds", "Workers", "Query")
SENDING = ("Start", "Signal", "Publish")
OPERATING = (
    "Cancel", "Compensate", "Recover", "Terminate", "Decide", "Pause", "Resume", "PauseType", "ResumeType", "RollOut",
    "RetryNow", "Restart",
)  # fmt: skip
ADMINISTERING = ("Grant", "Tokens", "Revoke", "Audit")
CALLS: Mapping[str, frozenset[Role]] = {
    **dict.fromkeys(READING, _READ), **dict.fromkeys(SENDING, _SEND), **dict.fromkeys(OPERATING, _OPERATE),
    **dict.fromkeys(ADMINISTERING, _ADMIN), "Claim": frozenset({Role.MONITOR, Role.ADMIN}), "Work": WORKING, "Beat": WORKING,
    "Fetch": EVERY,
}  # fmt: skip
"""By call of the services Sagas, Work and Access: the roles of which one is wanted, in the namespace of the request."""
KNOWN = frozenset({"WatchCell", "Calls", "Identify"})
"""Whoever is known may; what is called on Calls is looked at call by call."""
ITEMS: Mapping[str, frozenset[Role]] = dict.fromkeys(
    ("hello", "commit", "release", "heartbeat", "drain", "owned", "capacity", "answer"), WORKING
)
"""By item of a frame on a Work stream, in the namespace of its Hello."""
CHANGING = (*SENDING, *OPERATING, "Grant", "Revoke")


def covers(patterns: Iterable[str], name: str) -> bool:
    return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in patterns)


def includes(patterns: Iterable[str], pattern: str) -> bool:
    """Whether every name that `pattern` covers is covered, by one of them."""
    if not pattern.endswith("*"):
        return covers(patterns, pattern)
    return any(one.endswith("*") and pattern[:-1].startswith(one[:-1]) for one in patterns)
