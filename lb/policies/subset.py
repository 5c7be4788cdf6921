"""Deterministic subsetting: of many backends each of many balancers talks to a few, and all get as many balancers. Pure.

Backends stand on a circle in the order of a hash of their ids, evenly spaced; a balancer takes the first ones from its own
place on. Balancers with a number stand at the points of the binary van der Corput sequence, whose every beginning is spread
evenly. So no balancer has to know how many others there are, one more moves nobody, and one backend more or less changes
two of a balancer's at most. Source: P. Ward, P. Wankadia, K. Agrawal, "Reinventing Backend Subsetting at Google", ACM Queue
20(2), 2022, which takes low-discrepancy placement over the round-wise shuffle of the SRE book (chapter 20), where one backend
less changes most.

Each backend gets its mean number of balancers within ``bound``; within 1 where their number is a power of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from math import log2

from lb.model import Backend

REMEMBERED = 16_384
"""Places of ids: a reload of a thousand backends, of which one is new, works out one."""


def order(members: Sequence[Backend]) -> tuple[int, ...]:
    """Positions around the circle."""
    return tuple(sorted(range(len(members)), key=lambda i: (_digest(members[i].id), members[i].id)))


def place_of_number(number: int) -> float:
    """Of balancer 0, 1, 2, ...: 0, 1/2, 1/4, 3/4, 1/8, ... in [0, 1)."""
    place, step = 0.0, 0.5
    while number:
        place += step * (number & 1)
        number >>= 1
        step /= 2
    return place


def place_of_name(name: str) -> float:
    """Of a balancer that has no number: anywhere, always the same. Spread by chance only."""
    return _digest(name) / 2**64


def subset(circle: Sequence[int], usable: frozenset[int], place: float, size: int) -> tuple[int, ...]:
    """The first ``size`` usable positions from ``place`` on, ascending: who is out is replaced by the next one."""
    first = int(place * len(circle))
    found = [i for i in (*circle[first:], *circle[:first]) if i in usable]
    return tuple(sorted(found[:size]))


def bound(balancers: int) -> float:
    """How far from the mean a backend's number of balancers may be: twice the sequence's discrepancy, log2(n)/3 + 1."""
    return 2 * (log2(balancers) / 3 + 1)


@lru_cache(REMEMBERED)
def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
