"""Requests are taken away from a backend that fails more often than the others of its pool, softly and not for long. Pure.

Ejection (``lb.resilience.outlier``) is for who fails again and again; who answers one request of five with an error passes its
probes and never fails five times in a row. Envoy ejects such hosts by their success rate, for 30 s and more; here it keeps a
trickle, which finds out by itself when it is well again.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

INTERVAL_S = 1.0
"""Between two looks."""
KEEP = exp(-INTERVAL_S / 5.0)
"""Of what was counted before: the last five seconds count."""
CUT, GROW, LEAST = 0.5, 1.15, 0.02
"""At each look with new failures its share is halved, at each without it grows: from the least it is whole after 28 s."""
FAILURES, MORE_FAILURES = 2.0, 0.5
"""So many are needed (of the last seconds) for a first cut, and for the next: one is chance."""
MOST_CUT = 0.5
"""Of a pool's backends: where more than half fail more than the rest, the rest could not bear it."""


class SuccessRates:
    """Of one pool. ``shares[i]`` is what member ``i`` may have of its share, ``LEAST`` to 1.0."""

    def __init__(self, members: int, excess: float) -> None:
        """``excess``: by how much a member's rate of failures must be above that of all others together, 0.0 to 1.0."""
        self.shares = [1.0] * members
        self._excess = excess
        self._attempts = [0.0] * members
        self._failures = [0.0] * members

    def look(self, news: Sequence[tuple[int, int]]) -> None:
        """``news``: attempts and failures of each since the last look, ``INTERVAL_S`` ago."""
        attempts, failures = self._attempts, self._failures
        for i, (new_attempts, new_failures) in enumerate(news):
            attempts[i] = attempts[i] * KEEP + new_attempts
            failures[i] = failures[i] * KEEP + new_failures
        all_attempts, all_failures = sum(attempts), sum(failures)
        for i, (_, new_failures) in enumerate(news):
            others = all_attempts - attempts[i]
            if new_failures and others > 0.5 and self._stands_out(i, (all_failures - failures[i]) / others):
                self.shares[i] = max(self.shares[i] * CUT, LEAST)
            else:
                self.shares[i] = min(self.shares[i] * GROW, 1.0)

    def _stands_out(self, i: int, others_rate: float) -> bool:
        is_cut = self.shares[i] < 1.0
        if self._failures[i] < (MORE_FAILURES if is_cut else FAILURES):
            return False
        if self._failures[i] / self._attempts[i] <= others_rate + self._excess:
            return False
        return is_cut or sum(share < 1.0 for share in self.shares) + 1 <= MOST_CUT * len(self.shares)
