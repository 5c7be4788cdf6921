"""A table in which every slot has an owner; a key goes through it along its own pseudo-random sequence. Pure.

The first slot of the sequence is the key's own. Whoever is passed by (out, or at its bound) therefore gives its
keys to all others by their share of the table, not to one neighbour, and nobody else's keys move.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

from lb.policies.cells import HASH_BITS, INCREMENT, MASK, MULTIPLIER

Share = tuple[str, int]
"""A member's id and its weight, which is positive."""


@dataclass(frozen=True, slots=True)
class Slots:
    owners: Sequence[int]
    """By slot: a position in the members."""

    def candidates(self, key: bytes) -> Iterator[int]:
        """Positions in the order in which ``key`` asks them, with repetitions and without end. O(1) each."""
        owners, size = self.owners, len(self.owners)
        point = crc32(key)
        while True:
            point = (point * MULTIPLIER + INCREMENT) & MASK
            yield owners[point * size >> HASH_BITS]
