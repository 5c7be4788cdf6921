"""A ring of points, each of which belongs to a member: a key belongs to the next point clockwise. Pure.

Sources: D. Karger et al., "Consistent Hashing and Random Trees", STOC 1997; many points a member, by weight:
libketama (R. Jones, 2007), which has 160 as well. Removing a member moves its own keys, to whoever comes next.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct
from zlib import crc32

from lb.policies.cells import INCREMENT, MASK, MULTIPLIER
from lb.policies.slots import Share
from lb.policies.weights import power_of_two

MAX_POINTS = 1 << 18
"""Of a whole ring: 1,638 members with 160 points; more members get fewer each. It bounds the build to some 0.2 s."""

_BLOCK = Struct("<16I")
_INDEX_BITS = 24


@dataclass(frozen=True, slots=True)
class Ring:
    """``points`` ascending, ``owners`` beside them; ``place`` is where on the ring a key is."""

    points: Sequence[int]
    owners: Sequence[int]
    place: Callable[[bytes], int]

    def candidates(self, key: bytes) -> Iterator[int]:
        """Positions in the order in which ``key`` asks them: once around, with repetitions. O(log points), then O(1) each."""
        owners = self.owners
        start = bisect_left(self.points, self.place(key))
        for at in range(start, len(owners)):
            yield owners[at]
        for at in range(start):
            yield owners[at]


def hashed(key: bytes) -> int:
    """A place from 0 to 2^32 - 1. CRC-32 leaves like keys close together; the multiplication spreads them."""
    return (crc32(key) * MULTIPLIER + INCREMENT) & MASK


def ring_of(shares: Sequence[Share], points: int) -> Ring:
    """About ``points`` for a member of average weight."""
    marks: list[int] = []
    for index, quota in enumerate(quotas([weight for _, weight in shares], points)):
        marks += [point << _INDEX_BITS | index for point in _points(shares[index][0], quota)]
    marks.sort()
    owner = (1 << _INDEX_BITS) - 1
    return Ring(
        array("I", [mark >> _INDEX_BITS for mark in marks]), array("I", [mark & owner for mark in marks]), hashed
    )


def quotas(weights: Sequence[int], points: int) -> list[int]:
    """Points per member. The average weight is rounded to a power of two, so that one member more or less seldom
    changes what a unit of weight is worth, and with it everybody's points."""
    unit = power_of_two(sum(weights) / len(weights))
    while sum(weights) * points / unit > MAX_POINTS:
        unit *= 2
    return [max(1, round(weight * points / unit)) for weight in weights]


def _points(id: str, quota: int) -> list[int]:
    """The first ``quota`` of a member's endless sequence: with another weight it keeps those it has."""
    digests = (blake2b(f"{id}#{block}".encode()).digest() for block in range(-(-quota // 16)))
    return [point for digest in digests for point in _BLOCK.unpack(digest)][:quota]
