"""``consistent_hash``: the same key goes to the same backend, by a table of one's choice, with or without a bound.

The tables are in ``tables``; each gives for a key the members in the order in which the key asks them. They are
built over all members: one that is out is passed by, so its keys
move, come back with it, and nothing is rebuilt. What the key is was worked out before (``ctx.key``).
Nothing in them depends on the process: all workers and machines with the same members agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from lb.model import Backend, Pool, TableKind
from lb.policies.base import PickContext, Picker
from lb.policies.bounded import MAX_PROBES, Candidates, bounded
from lb.policies.rendezvous import rendezvous
from lb.policies.tables import TableSource, build_table, wanted
from lb.policies.weights import only, weighted


@dataclass(slots=True)
class ConsistentHash:
    """``table``: instead of the pool's. ``source``: where tables come from."""

    pool: Pool
    table: TableKind | None = None
    source: TableSource = build_table
    _members: tuple[Backend, ...] = field(default=(), init=False, repr=False)
    _are_alike: bool = field(default=False, init=False, repr=False)
    _candidates: Candidates | None = field(default=None, init=False, repr=False)

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        positions, weights = weighted(members, eligible)
        if len(positions) == 1:
            return only(positions[0])
        candidates = self._candidates_of(tuple(members), are_alike=not members[positions[0]].weight)
        parts = [0] * (len(members) + 1)  # the last one is nobody
        for position, weight in zip(positions, weights, strict=True):
            parts[position] = weight
        factor = self.pool.hash.bounded_load
        if factor is None:
            return _picker(candidates, members, positions, parts)
        return bounded(candidates, members, positions, parts, factor)

    def _candidates_of(self, members: tuple[Backend, ...], *, are_alike: bool) -> Candidates:
        """``are_alike``: nobody eligible has a weight, so everybody counts as one."""
        if self._candidates is None or self._members != members or self._are_alike != are_alike:
            options = self.pool.hash
            kind = self.table or options.table
            self._candidates = self.source(wanted(kind, options, members, are_alike=are_alike)).candidates
            self._members, self._are_alike = members, are_alike
        return self._candidates


def _picker(
    candidates: Candidates, members: Sequence[Backend], positions: Sequence[int], parts: Sequence[int]
) -> Picker:
    """After ``MAX_PROBES`` everybody eligible is asked, which is few by then."""

    def pick(ctx: PickContext) -> int:
        key = ctx.key
        for position in islice(candidates(key), MAX_PROBES):
            if parts[position]:
                return position
        return rendezvous(key, members, positions)

    return pick
