"""Mean time to an answer of each member over the last seconds, from counters that are kept anyway. Pure.

Nothing is done per request: whoever owns the counters hands in their totals now and then. A mean is steadier than
``lb.policies.latency`` and slower to notice: for a policy that compares all members at once, where the luckiest of many
unsteady figures would draw everybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import exp

TAU_S = 5.0
"""Time constant with which answers lose weight."""

LEAST_ANSWERS = 0.5
"""Less weight than that is no figure: the last answers are too long ago (three of them: 9 s; a hundred: 26 s)."""

MOST_ANSWERS = 100.0
"""More weight than that nothing has: steady to a tenth, and what was busy is forgotten as soon as what was not."""

FAILURE_S = 1.0
"""What a failure counts as, however quick it was: failing fast is not being fast."""

INTERVAL_S = 1.0
"""How often totals should be handed in."""

Totals = tuple[int, int, int]
"""Attempts, those of them that failed, and microseconds that answers took: since ever, of one member."""


class MeanTimes:
    """``seconds[i]`` is member ``i``'s mean, 0.0 while unknown."""

    def __init__(self, members: int) -> None:
        self.seconds = [0.0] * members
        self._weights = [0.0] * members
        self._sums_s = [0.0] * members
        self._before: list[Totals] | None = None
        self._looked_at = 0.0

    def look(self, totals: Iterable[Totals], now: float) -> None:
        """``now``: of any clock that only goes forward. The first look only says where totals begin."""
        current = list(totals)
        before, self._before = self._before, current
        keep = exp(-max(now - self._looked_at, 0.0) / TAU_S)
        self._looked_at = now
        for i, (new, old) in enumerate(zip(current, before or current, strict=True)):
            self._take(i, new[0] - old[0], new[1] - old[1], (new[2] - old[2]) / 1e6, keep)

    def _take(self, i: int, attempts: int, failures: int, answered_s: float, keep: float) -> None:
        if attempts < 0 or failures < 0 or answered_s < 0.0:  # counters of another slot or segment
            attempts = failures = 0
            answered_s = 0.0
        weight = self._weights[i] * keep + attempts
        sum_s = self._sums_s[i] * keep + answered_s + failures * FAILURE_S
        self.seconds[i] = sum_s / weight if weight >= LEAST_ANSWERS else 0.0
        scale = min(1.0, MOST_ANSWERS / weight) if weight else 1.0
        self._weights[i], self._sums_s[i] = weight * scale, sum_s * scale
