"""Which machines share a store, what each says of itself, and how their configurations differ. Pure.

A machine says a digest of each of its pools, so that another one can name the pool that differs.
Nothing is merged by name alone: round robin orders, limits and inflight carry what they are about in their own keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lb.model import Config, Pool
from lb.structs import replace

ALIVE_S = 3.0
"""Heard of within this time: three beats."""
FIELDS = ("version", "generation", "workers", "pools", "keys", "rates")
"""Of a machine's hash."""
_MOST_POOLS_BYTES = 1 << 20
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Machine:
    """``pools``: digests by pool. ``generation`` counts that machine's own publications. ``keys``: fingerprints of its sticky
    keys by pool, the signing one first. ``rates``: rate limits by route; None: it did not say."""

    name: str
    version: str
    generation: int
    workers: int
    pools: Mapping[str, str]
    keys: Mapping[str, str] = field(default_factory=dict)
    rates: Mapping[str, str] | None = None


def digest(pool: Pool) -> str:
    """Of who is in the pool, how it is balanced, and how it is probed where one machine does so for all; weights and
    states are operators' to change, and left out."""
    members = sorted(
        (backend.id, *backend.place, backend.max_inflight, backend.backup, backend.priority)
        for backend in pool.backends
    )
    how = (pool.hash, pool.geo_inner, pool.subset, pool.overprovisioning, pool.zones)
    said: list[object] = [pool.policy, members, repr(how)]
    if pool.health.scope == "cluster":
        names = tuple((name, "") for name, _ in pool.health.headers)  # what they are may be secret
        said.append(repr(replace(pool.health, headers=names)))
    if pool.sticky is not None:
        said.append(pool.sticky.cookie)
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]


def _fingerprint(key: str) -> str:
    """Tells secrets apart: 24 bits, too few to guess one by."""
    return hashlib.blake2b(key.encode(), digest_size=3, person=b"lb sticky").hexdigest()


def described(name: str, version: str, generation: int, config: Config) -> Machine:
    pools = {pool.id: digest(pool) for pool in config.pools}
    keys = {pool.id: " ".join(map(_fingerprint, pool.sticky.keys)) for pool in config.pools if pool.sticky is not None}
    limits = {route.id: route.rate_limit for route in config.routes}
    rates = {id: f"{limit.rate_per_s:g}/s+{limit.burst}" for id, limit in limits.items() if limit is not None}
    return Machine(name, version, generation, config.workers, pools, keys, rates)


def to_fields(machine: Machine) -> dict[str, str]:
    """As they stand in the machine's hash."""
    return {
        "version": machine.version,
        "generation": str(machine.generation),
        "workers": str(machine.workers),
        "pools": json.dumps(machine.pools, sort_keys=True),
        "keys": json.dumps(machine.keys, sort_keys=True),
        "rates": json.dumps(machine.rates, sort_keys=True),
    }


def from_fields(name: str, said: Sequence[str | None]) -> Machine | None:
    """``said``: by ``FIELDS``. None if that is nothing that we understand."""
    version, generation, workers, pools, keys, rates = (text or "" for text in said)
    try:
        said_rates = _by_pool(rates) if rates else None  # none: a version before
        whole = (_number(generation), _number(workers), _by_pool(pools), _by_pool(keys), said_rates)
        return Machine(name, version[:100], *whole)
    except (ValueError, RecursionError):
        return None


def _by_pool(text: str) -> dict[str, str]:
    found = json.loads(text) if len(text) <= _MOST_POOLS_BYTES else None
    if not isinstance(found, dict):
        raise ValueError("no object, or too long")
    return {str(pool)[:100]: str(value)[:100] for pool, value in found.items()}


def _number(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"{len(text)} digits")
    return int(text)


def differences(ours: Machine, others: Mapping[str, Machine]) -> tuple[str, ...]:
    """Sentences about each machine whose pools, sticky keys or rate limits are not ours, for people; empty if all are alike."""
    said = (
        (
            _difference(ours.pools, others[name]),
            _difference_of_keys(ours.keys, others[name]),
            _difference_of_rates(ours.rates or {}, others[name]),
        )
        for name in sorted(others)
    )
    return tuple(text for one in said for text in one if text)


def _difference(ours: Mapping[str, str], other: Machine) -> str:
    parts = (
        ("missing there", sorted(ours.keys() - other.pools.keys())),
        ("missing here", sorted(other.pools.keys() - ours.keys())),
        ("different", sorted(id for id in ours.keys() & other.pools.keys() if ours[id] != other.pools[id])),
    )
    said = ", ".join(f"{what}: {', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''}" for what, ids in parts if ids)
    return f"machine {other.name} has other pools ({said})" if said else ""


def _difference_of_keys(ours: Mapping[str, str], other: Machine) -> str:
    """In which pools one of the two signs what the other does not believe."""
    ids = sorted(id for id in ours.keys() & other.keys.keys() if not _agree(ours[id], other.keys[id]))
    if not ids:
        return ""
    named = f"{', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''}"
    return f"machine {other.name} has another sticky key ({named}): clients that change machines lose their backend"


def _difference_of_rates(ours: Mapping[str, str], other: Machine) -> str:
    """Of routes that both have: each of the two rates is shared with those who have the same."""
    theirs = other.rates if other.rates is not None else ours
    ids = sorted(id for id in ours.keys() | theirs.keys() if ours.get(id) != theirs.get(id))
    if not ids:
        return ""
    named = f"{', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''}"
    return f"machine {other.name} has other rate limits ({named}): what both let through adds up"


def _agree(ours: str, theirs: str) -> bool:
    mine, yours = ours.split(), theirs.split()
    return mine[:1] == yours[:1] or (bool(mine and yours) and mine[0] in yours and yours[0] in mine)
