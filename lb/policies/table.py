"""Every policy by the name a configuration and ``?algo=`` use. A new policy is one file and one line here."""

from __future__ import annotations

from functools import partial

from lb.model import CUSTOM, CustomPolicy, Pool
from lb.policies.adaptive import Adaptive
from lb.policies.base import Policy, PolicyFactory
from lb.policies.consistent_hash import ConsistentHash
from lb.policies.custom import Custom
from lb.policies.ip_hash import IpHash
from lb.policies.least_connections import LeastConnections
from lb.policies.least_response_time import LeastResponseTime
from lb.policies.peak_ewma import LowestPeakEwma
from lb.policies.power_of_two import PowerOfTwo
from lb.policies.prequal import Prequal
from lb.policies.random import Random
from lb.policies.round_robin import RoundRobin
from lb.policies.sticky_round_robin import sticky_round_robin
from lb.policies.tables import TableSource, build_table
from lb.policies.weighted_round_robin import WeightedRoundRobin

POLICIES: dict[str, PolicyFactory] = {
    "round_robin": RoundRobin,
    "weighted_round_robin": WeightedRoundRobin,
    "least_connections": LeastConnections,
    "least_response_time": LeastResponseTime,
    "ip_hash": IpHash,
    "power_of_two": PowerOfTwo,
    "random": Random,
    "peak_ewma": LowestPeakEwma,
    "prequal": Prequal,
    "adaptive": Adaptive,
    "consistent_hash": ConsistentHash,
    "ring_hash": partial(ConsistentHash, table="ring"),
    "maglev": partial(ConsistentHash, table="maglev"),
    "url_hash": ConsistentHash,  # by what a request asks for: lb.proxy.hash_key
    "sticky_round_robin": sticky_round_robin,
    "contract_hash": partial(ConsistentHash, table="contract"),
    CUSTOM: lambda pool: create(CUSTOM, pool),
    "geo": lambda pool: POLICIES[pool.geo_inner](pool),  # for one region's clients: lb.policies.geo
    "geo_aware": Adaptive,
}

MEAN_TIMES = ("least_response_time",)
"""The policies that ask for ``response_time``."""

BY_TABLE = ("ip_hash", "consistent_hash", "ring_hash", "maglev", "url_hash", "contract_hash")
"""The policies whose table is over all members, whoever is eligible: one serves any number of pickers."""

BY_KEY = (*BY_TABLE, "sticky_round_robin")
"""The policies that send a key to its backend."""


def deciding(name: str, pool: Pool) -> str:
    """The policy that decides in the end where ``name`` is asked: within a region, or instead of a user's own."""
    if name == CUSTOM and pool.custom is not None:
        name = pool.custom.fallback
    return pool.geo_inner if name == "geo" else name


def create(name: str, pool: Pool, tables: TableSource = build_table) -> Policy:
    """The policy of that name for ``pool``. KeyError: no such policy (the configuration was checked before)."""
    if name == CUSTOM:
        return Custom(pool, create((pool.custom or CustomPolicy("")).fallback, pool, tables))
    policy = POLICIES[name](pool)
    if isinstance(policy, ConsistentHash):
        policy.source = tables
    return policy
