"""Highest random weight: every member claims a key by a hash of both, and the strongest claim has it. Pure.

Source: Thaler and Ravishankar, IEEE/ACM ToN 6(1), 1998; by weight: Schindelhauer and Schomaker, SPAA 2005. A member
that goes moves its own keys and no others'. ``rendezvous`` asks everybody for one key, O(n); ``claimed_slots``
settles the question for every slot of a table beforehand, so that a pick does not depend on n.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b, shake_128
from math import ceil, inf, log
from struct import unpack

from lb.model import Backend
from lb.policies.slots import Share
from lb.policies.weights import power_of_two

SLOT_BITS = 17
SLOTS = 1 << SLOT_BITS
"""Whatever the number of members, so that a key's slot never changes. Shares of equals have a standard deviation of
0.3 % with 3 members, 2 % with 100, 6 % with 1,000 (the largest has 1.2 of the mean) and 20 % with 10,000, where Maglev's table is the
better one."""

CALLS = 5
"""Per slot, give or take the rounding of the total weight."""


def rendezvous(key: bytes, members: Sequence[Backend], positions: Sequence[int]) -> int:
    """The strongest claim of all ``positions`` to ``key``: some 1.2 us for each of them."""

    def claim(position: int) -> float:
        member = members[position]
        digest = blake2b(key, key=member.id.encode()[:64], digest_size=8).digest()
        uniform = (int.from_bytes(digest, "big") + 0.5) / 2**64
        return -max(member.weight, 1) / log(min(uniform, 1 - 2**-53))

    return max(positions, key=claim)


def claimed_slots(shares: Sequence[Share]) -> list[int]:
    """The owner of every slot: an index into ``shares``, or ``len(shares)`` for nobody. Their order makes no difference.

    Members call out slots drawn by their own hash, as often per time as they weigh; a slot is whose first call is
    the earliest. When a member calls what follows from itself alone, so a slot changes hands only if its owner goes or
    a newcomer called before. 3.5 to 7 calls a slot leave at most 2.5 % without an owner: their keys go on.
    """
    nobody = len(shares)
    owners, called_at = [nobody] * SLOTS, [inf] * SLOTS
    end = CALLS * SLOTS / power_of_two(sum(weight for _, weight in shares))
    for index, (id, weight) in enumerate(shares):
        pace = 1 / weight
        time = _head_start(id) * pace
        for slot in _calls(id, ceil((end - time) * weight)):
            if time < called_at[slot]:
                called_at[slot], owners[slot] = time, index
            time += pace
    return owners


def _calls(id: str, count: int) -> list[int]:
    """The first ``count`` slots that a member calls out."""
    numbers = unpack(f"<{count}I", shake_128(id.encode()).digest(4 * count))
    return [number >> 32 - SLOT_BITS for number in numbers]


def _head_start(id: str) -> float:
    """0 to 1: who calls before whom within a round."""
    return int.from_bytes(blake2b(id.encode(), digest_size=4).digest(), "big") / 2**32
