"""``ip_hash``: the same client goes to the same backend, and stays there while that backend is eligible.

Source: SPOCA (A. Chawla et al., USENIX ATC 2011). Every member owns cells of a table in proportion to its weight;
the key's hash names a cell, and while that is empty or its owner is out the key goes on to the next
cell of its own pseudo-random sequence. So a member that goes out moves its own keys and no others',
spreads them over all the rest by weight, and gets them back when it returns.
Nothing in it depends on the process: all workers and machines with the same members agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import repeat
from zlib import crc32

from lb.model import Backend, Pool
from lb.policies.base import PickContext, Picker
from lb.policies.cells import INCREMENT, MASK, MULTIPLIER, Cells, cells_of
from lb.policies.rendezvous import rendezvous
from lb.policies.weights import only, weighted

MAX_PROBES = 512
"""Then everybody eligible is asked, which is few: with a hundredth of the pool left one key in twenty gets that far,
with a tenth left none. Dear (some 60 us) only while nearly all of a very large pool is out."""


@dataclass(slots=True)
class IpHash:
    """The cells depend on the members only and are kept from build to build; eligibility is one flag each."""

    pool: Pool
    _members: tuple[Backend, ...] = field(default=(), init=False, repr=False)
    _cells: Cells | None = field(default=None, init=False, repr=False)

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        positions, _ = weighted(members, eligible)
        if len(positions) == 1:
            return only(positions[0])
        return _picker(self._cells_for(tuple(members)), members, positions)

    def _cells_for(self, members: tuple[Backend, ...]) -> Cells:
        if self._cells is None or self._members != members:
            self._members, self._cells = members, cells_of(members)
        return self._cells


def _picker(cells: Cells, members: Sequence[Backend], positions: list[int]) -> Picker:
    owners, shift = cells.owners, cells.shift
    is_in = bytearray(len(members) + 1)  # the last one is "nobody"
    for position in positions:
        is_in[position] = 1

    def pick(ctx: PickContext) -> int:
        point = crc32(ctx.key)
        for _ in repeat(None, MAX_PROBES):
            point = (point * MULTIPLIER + INCREMENT) & MASK
            owner = owners[point >> shift]
            if is_in[owner]:
                return owner
        return rendezvous(ctx.key, members, positions)

    return pick
