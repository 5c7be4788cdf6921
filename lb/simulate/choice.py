"""The picker of one worker: the policy, over the portions of the requests that groups of backends get, by the client's region.

What is around policies in ``lb.proxy.pool`` and ``lb.proxy.regions``, with the same pure parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lb.config.usable_policies import REGIONAL
from lb.model import CUSTOM, Pool
from lb.policies.base import Picker, Policy
from lb.policies.geo import InRegion
from lb.policies.portions import Portion, split
from lb.policies.table import BY_KEY, create, deciding


class Choice:
    """``nearest``: for each region of clients all of them, nearest first; empty where nobody knows regions."""

    def __init__(self, pool: Pool, nearest: Mapping[str, Sequence[str]]) -> None:
        self._pool = pool
        self._nearest = nearest if pool.policy in REGIONAL else {}
        self._by_key = deciding(pool.policy, pool) in BY_KEY
        self._policies: dict[str, Policy] = {}
        """By region. What one has built over its members is another's no more."""

    def build(self, portions: Sequence[Portion], eligible: Sequence[int], region: str) -> Picker:
        """Over those of ``eligible``, which are not none, that each of ``portions`` has."""
        if len(portions) == 1:
            return self._policy(region).build(self._pool.backends, eligible)
        wanted = frozenset(eligible)
        left = [(one.share, [i for i in one.positions if i in wanted]) for one in portions]
        built = [(share, self._own(region).build(self._pool.backends, some)) for share, some in left if some]
        return built[0][1] if len(built) == 1 else split(built, by_key=self._by_key)

    def order(self, region: str) -> str:
        """The order of tickets that a region's clients take: one for all where regions do not count."""
        return region if region in self._nearest else ""

    def _own(self, region: str) -> Policy:
        """A portion's. A user's own policy is there once, because to make it may take long."""
        return self._policy(region) if self._pool.policy == CUSTOM else self._made(region)

    def _policy(self, region: str) -> Policy:
        found = self._policies.get(region)
        if found is None:
            found = self._policies[region] = self._made(region)
        return found

    def _made(self, region: str) -> Policy:
        made = create(self._pool.policy, self._pool)
        return InRegion(made, self._nearest[region]) if region in self._nearest else made
