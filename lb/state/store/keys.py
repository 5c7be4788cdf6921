"""Every key that lb keeps in the store, with its type, its life and its meaning. docs/shared-state.md shows the same table.

All begin with ``{PREFIX}:``; the braces are Redis Cluster's hash tag, so that all keys of one cluster of balancers
live on one node and a script may touch several. Values are text and small numbers: ``redis-cli`` shows what is going on.
Times are the store's own (``TIME``), in milliseconds; no machine's wall clock is compared with another's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

SCHEMA = 1
"""Major version of all that stands here; a machine that finds a higher one leaves the store alone."""


class Documented(NamedTuple):
    """One row of the table in the documentation."""

    pattern: str
    type: str
    life: str
    meaning: str


TABLE = (
    Documented("{P}:schema", "string", "for good", "Major version of these keys; a newer one is left alone"),
    Documented("{P}:born", "string", "for good", "`time run`: since when this server (its run_id) has known everything; nothing new of a limit is granted for 2 s after"),
    Documented("{P}:machines", "sorted set", "members 60 s", "Machine -> when it was last heard of"),
    Documented("{P}:machine:MACHINE", "hash", "5 s", "What a machine says of itself: version, generation, workers, digests of its pools, fingerprints (24 bits) of its sticky keys"),
    Documented("{P}:numbers", "hash", "entries 60 s", "Machine -> `number heard`: its number on the circle of subsets, and when it was last heard of"),
    Documented("{P}:inflight:MACHINE", "hash", "3 s", "POOL/BACKEND -> requests that machine has in flight there; zeros left out"),
    Documented("{P}:order:POOL:POLICY:DIGEST", "hash", "1 day", "A round robin order (of a region's clients: POLICY is `round_robin@REGION`), DIGEST is of its members and cycle: `ticket` next (whole cycles left out), `version` counts the changes, `by MACHINE` its last run"),
    Documented("{P}:limit:POOL/BACKEND@PLACE", "hash", "10 s", "MACHINE -> `slice renewed wanted holds since sequence`: its share of a `max_inflight`"),
    Documented("{P}:limit:rate:ROUTE@RATE/s+BURST", "hash", "10 s, or until it would be full", "The same for a `rate_limit`, in units of its burst; `+` -> `tokens at`: what units that nobody holds have saved, in billionths of a request"),
    Documented("{P}:operator", "hash", "for good", "POOL/BACKEND -> what operators changed, as JSON"),
    Documented("{P}:operator:generation", "string", "for good", "Counts those changes"),
    Documented("{P}:health", "hash", "3 s", "POOL/BACKEND@PLACE#HOW -> `up` or `down`, as the machine that probes for all found it (`health.scope: cluster`); `+` -> `token sequence machine`: whose word it is"),
    Documented("{P}:lease:NAME", "string", "its lease", "Who does NAME for all machines, with its fencing token"),
    Documented("{P}:fence:NAME", "string", "for good", "Counts the tokens given out for NAME"),
    Documented("{P}:news", "channel", "-", "`order KEY VERSION TICKET ...`, `limit NAME`, `operator GENERATION`, `health TOKEN SEQUENCE MACHINE`: look now"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Keys:
    """The names under one prefix."""

    prefix: str

    def __str__(self) -> str:
        return f"{{{self.prefix}}}"

    @property
    def schema(self) -> str:
        return f"{self}:schema"

    @property
    def born(self) -> str:
        return f"{self}:born"

    @property
    def machines(self) -> str:
        return f"{self}:machines"

    def machine(self, machine: str) -> str:
        return f"{self}:machine:{machine}"

    @property
    def numbers(self) -> str:
        return f"{self}:numbers"

    def inflight(self, machine: str) -> str:
        return f"{self}:inflight:{machine}"

    def order(self, pool: str, policy: str, digest: str) -> str:
        return f"{self}:order:{pool}:{policy}:{digest}"

    def limit(self, backend: str) -> str:
        """``backend``: ``POOL/BACKEND@PLACE``."""
        return f"{self}:limit:{backend}"

    @property
    def operator(self) -> str:
        return f"{self}:operator"

    @property
    def operator_generation(self) -> str:
        return f"{self}:operator:generation"

    @property
    def health(self) -> str:
        return f"{self}:health"

    def lease(self, name: str) -> str:
        return f"{self}:lease:{name}"

    def fence(self, name: str) -> str:
        return f"{self}:fence:{name}"

    @property
    def news(self) -> str:
        return f"{self}:news"
