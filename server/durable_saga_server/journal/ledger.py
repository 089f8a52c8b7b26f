"""The ledger of a journal: the tokens that let somebody in, as hashes, and the audit log. It knows nothing of runs.

Every method may raise what a journal raises: JournalUnavailable, JournalFull.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

ROWS_LOOKED_AT_MAX = 5_000
"""For one page: it may be shorter than asked for, and not be the last."""


@dataclass(frozen=True, slots=True)
class TokenRow:
    """`digest` is the SHA-256 of the token, `rights` a Rights message. Times are Unix milliseconds, 0: none."""

    id: str
    name: str
    digest: bytes
    rights: bytes
    made_ms: int
    made_by: str
    expires_ms: int = 0
    revoked_ms: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the audit log, named by time and id (16 bytes). `entry` is an AuditEntry message; namespace, who, verb and saga
    are of it. It is gone some time after `until_ms`."""

    at_ms: int
    id: bytes
    namespace: str
    who: str
    verb: str
    saga: str
    entry: bytes
    until_ms: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """since_ms <= at_ms < until_ms; an empty field asks nothing."""

    since_ms: int
    until_ms: int
    namespace: str = ""
    who: str = ""
    verb: str = ""
    saga: str = ""

    def fits(self, entry: Entry) -> bool:
        pairs = (
            (self.namespace, entry.namespace), (self.who, entry.who), (self.verb, entry.verb), (self.saga, entry.saga),
        )  # fmt: skip
        return self.since_ms <= entry.at_ms < self.until_ms and all(not asked or asked == has for asked, has in pairs)


@dataclass(frozen=True, slots=True)
class Page:
    entries: Sequence[Entry]
    next_page: str = ""


class Ledger(Protocol):
    async def put_token(self, token: TokenRow) -> None:
        """Write it under its id; the last write wins."""

    async def tokens(self) -> Sequence[TokenRow]:
        """In order of id."""

    async def append(self, entries: Sequence[Entry]) -> None:
        """All of them are durable when this returns. Idempotent."""

    async def entries(self, wanted: Wanted, limit: int, page: str, now_ms: int) -> Page:
        """Newest first, without those that are over. Raises ValueError for a page token that `next_page` did not give."""

    async def drop_entries(self, now_ms: int) -> int:
        """Remove some that are over. How many; 0: there are none left, or the store does it by itself."""


def place_of(entry: Entry) -> tuple[int, bytes]:
    return entry.at_ms, entry.id


def page_of(entry: Entry) -> str:
    return f"{entry.at_ms}/{entry.id.hex()}"


def read_page(text: str) -> tuple[int, bytes]:
    """Raises ValueError."""
    at_ms, slash, name = text.partition("/")
    if not slash or not at_ms.isdecimal() or len(at_ms) > 18 or len(name) != 32:
        raise ValueError(f"{text!r} isn't a page of the audit log: start from the first page")
    return int(at_ms), bytes.fromhex(name)


class MemoryLedger:
    """The reference for the others. Nothing survives the process."""

    def __init__(self) -> None:
        self._tokens: dict[str, TokenRow] = {}
        self._entries: dict[tuple[int, bytes], Entry] = {}

    async def put_token(self, token: TokenRow) -> None:
        self._tokens[token.id] = token

    async def tokens(self) -> Sequence[TokenRow]:
        return [self._tokens[one] for one in sorted(self._tokens)]

    async def append(self, entries: Sequence[Entry]) -> None:
        self._entries.update((place_of(one), one) for one in entries)

    async def entries(self, wanted: Wanted, limit: int, page: str, now_ms: int) -> Page:
        before = read_page(page) if page else None
        found = [one for one in self._entries.values() if wanted.fits(one) and one.until_ms > now_ms]
        found = sorted((one for one in found if before is None or place_of(one) < before), key=place_of, reverse=True)
        return Page(found[:limit], page_of(found[limit - 1]) if len(found) > limit else "")

    async def drop_entries(self, now_ms: int) -> int:
        over = [place for place, one in self._entries.items() if one.until_ms <= now_ms]
        for place in over:
            del self._entries[place]
        return len(over)
