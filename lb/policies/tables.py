"""The tables of ``consistent_hash``: which one a pool needs, building it, and what it is made of. Pure.

A table follows from its kind, its options and the ids and weights of the members alone, so whoever needs one may be
handed one that another process built: that takes up to 0.2 s, longer than a worker may keep its requests waiting.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from lb.config.names import HASH_TABLES
from lb.model import Backend, HashOptions, Pool, TableKind
from lb.policies.contract_hash import contract_place, contract_ring
from lb.policies.maglev import maglev_slots
from lb.policies.rendezvous import claimed_slots
from lb.policies.ring import Ring, hashed, ring_of
from lb.policies.slots import Share, Slots

Table = Ring | Slots
VERSION = 1
"""Of what the functions here and beside make of the same input; raised when that changes."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything that a table follows from."""

    kind: TableKind
    options: HashOptions
    shares: tuple[Share, ...]

    @property
    def digest(self) -> str:
        """The same for the same table."""
        options = self.options
        of_kind = {
            "ring": options.points, "maglev": options.maglev_size, "rendezvous": 0, "contract": options.contract,
        }[self.kind]  # fmt: skip
        return blake2b(repr((VERSION, self.kind, of_kind, self.shares)).encode(), digest_size=16).hexdigest()


TableSource = Callable[[Wanted], Table]


def wanted(kind: TableKind, options: HashOptions, members: Sequence[Backend], *, are_alike: bool) -> Wanted:
    """The table over ``members``. ``are_alike``: they have no weights, so everybody counts as one."""
    return Wanted(kind, options, tuple((member.id, 1 if are_alike else member.weight) for member in members))


def wanted_by(pool: Pool, policies: Collection[str]) -> Iterator[Wanted]:
    """The tables that picks by ``policies`` read, each once."""
    kinds: set[TableKind] = {HASH_TABLES[name] or pool.hash.table for name in policies if name in HASH_TABLES}
    are_alike = not any(backend.weight for backend in pool.backends)
    if len(pool.backends) > 1:
        for kind in sorted(kinds):
            yield wanted(kind, pool.hash, pool.backends, are_alike=are_alike)


@lru_cache(maxsize=8)
def build_table(wanted: Wanted) -> Table:
    """Remembered, because a configuration is read again far more often than its members change."""
    kind, options, shares = wanted.kind, wanted.options, wanted.shares
    if kind == "contract":
        return contract_ring(options.contract, len(shares))
    positions = array("I", [position for position, (_, weight) in enumerate(shares) if weight] + [len(shares)])
    present = [shares[position] for position in positions[:-1]]
    if kind == "ring":
        ring = ring_of(present, options.points)
        return Ring(ring.points, _renamed(ring.owners, positions), ring.place)
    owners = maglev_slots(present, options.maglev_size) if kind == "maglev" else claimed_slots(present)
    return Slots(_renamed(owners, positions))


def _renamed(owners: Sequence[int], positions: Sequence[int]) -> Sequence[int]:
    """Of those with a weight -> of all members; nobody is one beyond the last in both."""
    return array("I", [positions[index] for index in owners])


def columns_of(table: Table) -> tuple[Sequence[int], ...]:
    """The numbers it is made of, each below 2^32: columns of one length."""
    return (table.points, table.owners) if isinstance(table, Ring) else (table.owners,)


def table_from(wanted: Wanted, columns: Sequence[Sequence[int]]) -> Table:
    """Of the ``columns_of`` the same table."""
    if wanted.kind == "ring":
        return Ring(columns[0], columns[1], hashed)
    if wanted.kind == "contract":
        return Ring(columns[0], columns[1], contract_place(wanted.options.contract))
    return Slots(columns[0])
