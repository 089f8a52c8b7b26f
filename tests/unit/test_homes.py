"""Which member is the home of which shard: alike for all who look, alike many, and calm when members come and go."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from durable_saga_server.cell import homes_of
from durable_saga_server.journal import SHARDS, Member

COUNTS = (1, 2, 3, 5, 8, 16, 31, 32)


def members(count: int, seed: int = 7) -> list[Member]:
    dice = random.Random(seed)
    return [Member(f"server-{number}", f"10.0.{dice.randrange(256)}.{number}:7233", 1, 1) for number in range(count)]


@pytest.mark.parametrize("count", COUNTS)
def test_no_member_has_more_shards_than_its_share(count: int) -> None:
    for seed in range(10):
        counts = Counter(homes_of(members(count, seed)))
        assert sum(counts.values()) == SHARDS
        assert max(counts.values()) == -(-SHARDS // count)


@pytest.mark.parametrize("count", COUNTS)
def test_the_homes_do_not_depend_on_the_order_in_which_members_are_seen(count: int) -> None:
    some = members(count)
    assert homes_of(some) == homes_of(some[::-1])


def test_more_members_than_shards_leave_some_without_one() -> None:
    assert max(Counter(homes_of(members(3 * SHARDS))).values()) == 1


def test_a_member_that_goes_moves_little_but_its_own_share() -> None:
    moved = []
    for seed in range(20):
        before = members(5, seed)
        gone = before[seed % 5]
        homes = zip(homes_of(before), homes_of([one for one in before if one is not gone]), strict=True)
        moved.append(sum(old != new for old, new in homes if old != gone.name))
    assert sum(moved) / len(moved) < 3


def test_only_members_with_an_address_are_homes_where_there_are_some() -> None:
    embedded = Member("embedded", "", 1, 1)
    assert set(homes_of([embedded, *members(2)])) == {"server-0", "server-1"}
    assert homes_of([embedded]) == ["embedded"] * SHARDS
    assert homes_of([]) == []
