"""Maglev's table: members take turns at claiming the next free slot of their own permutation. Pure.

Source: D. Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4.
As even as a table can be (members of one weight differ by one slot), at the price that a member that comes or
goes also moves a few slots of others. Takes some ``size x ln(size)`` steps, whatever the number of members.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from heapq import heapify, heapreplace
from itertools import cycle

from lb.policies.slots import Share


def maglev_slots(shares: Sequence[Share], size: int) -> list[int]:
    """The owner of each of ``size`` slots, which is a prime: an index into ``shares``. Their order makes no difference."""
    nobody = len(shares)
    owners = [nobody] * size
    permutations = [_permutation(id, size) for id, _ in shares]
    at = [offset for offset, _ in permutations]
    steps = [step for _, step in permutations]
    free = size
    for index in turns(shares):
        slot, step = at[index], steps[index]
        while owners[slot] != nobody:
            slot += step
            if slot >= size:
                slot -= size
        owners[slot] = index
        at[index] = slot
        free -= 1
        if not free:
            break
    return owners


def _permutation(id: str, size: int) -> tuple[int, int]:
    """Offset and step. The size is prime, so the steps meet every slot once."""
    digest = blake2b(id.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "big") % size, int.from_bytes(digest[8:], "big") % (size - 1) + 1


def turns(shares: Sequence[Share]) -> Iterator[int]:
    """Whose turn it is, without end: by id, the heavier ones as much more often as they weigh more."""
    order = sorted(range(len(shares)), key=lambda index: shares[index][0])
    if len({weight for _, weight in shares}) == 1:
        return cycle(order)
    return _weighted_turns([(shares[index][1], index) for index in order])


def _weighted_turns(order: list[tuple[int, int]]) -> Iterator[int]:
    """Turn number k of a member is at the time k / weight."""
    coming = [(1 / weight, place, 1) for place, (weight, _) in enumerate(order)]
    heapify(coming)
    while True:
        _, place, turn = coming[0]
        weight, index = order[place]
        heapreplace(coming, ((turn + 1) / weight, place, turn + 1))
        yield index
