"""How many keys go to another backend when one of N leaves the pool, by the real tables. Pure.

Not about health: a backend that is down keeps its place in the tables, so its own keys move and no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any
from zlib import crc32

from lb.model import Backend, HashOptions, Pool, TableKind
from lb.policies.table import create

SIZES = (2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
TABLES: tuple[TableKind, ...] = ("ring", "maglev", "rendezvous", "contract")
IP_HASH, MODULO = "ip_hash", "modulo"
"""``modulo`` is no policy of ours but what all of them are better than: a hash modulo N."""
NAMES = (*TABLES, IP_HASH, MODULO)

MOST_CONTRACT = 50
"""Its 512 slots hold 56 backends with 9 virtual servers each."""
KEYS = 10_000
_REMOVALS, _REMOVALS_OF_MANY = 4, 12
"""Of so many backends the mean is taken; of more from 100 backends on, where each moves a few keys only."""


def share_moved(name: str, size: int) -> float | None:
    """Of the keys. None: the table does not hold so many backends."""
    if name == "contract" and size > MOST_CONTRACT:
        return None
    members = [Backend(f"backend-{number}", host="backend.invalid", port=number) for number in range(1, size + 1)]
    keys = [b"%d" % number for number in Random("keys").sample(range(100_000, 1_000_000), KEYS)]
    before = _owners(name, members, keys)
    removals = min(size, _REMOVALS if size < 100 else _REMOVALS_OF_MANY)
    moved = 0
    for turn in range(removals):
        gone = turn * size // removals
        after = _owners(name, members[:gone] + members[gone + 1 :], keys)
        moved += sum(old != new for old, new in zip(before, after, strict=True))
    return moved / (removals * KEYS)


def _owners(name: str, members: Sequence[Backend], keys: Sequence[bytes]) -> list[str]:
    """The id of the backend that each key goes to."""
    if name == MODULO:
        return [members[crc32(key) % len(members)].id for key in keys]
    policy = name if name == IP_HASH else "consistent_hash"
    options = HashOptions(table=name) if name in TABLES else HashOptions()
    pick = create(policy, Pool("keys", tuple(members), hash=options)).build(members, range(len(members)))
    ctx: Any = _Key()
    return [members[pick(ctx.of(key))].id for key in keys]


class _Key:
    """All that a policy that hashes looks at."""

    key = b""

    def of(self, key: bytes) -> _Key:
        self.key = key
        return self
