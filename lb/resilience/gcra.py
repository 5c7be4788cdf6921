"""How much a rate lets through: the Generic Cell Rate Algorithm. Pure: time is an argument, the caller keeps the state.

Source: ITU-T Recommendation I.371, and ATM Forum Traffic Management 4.0, section 4.4.2, in the second of its two
equivalent forms, the continuous-state leaky bucket, counted from the other end: not how full the bucket is, but what
it still takes. The first form, a single instant (TAT), cannot carry a rate that changes, as a machine's share does.

In any time ``t`` at most ``burst + rate x t`` are let through, and no more are refused than that needs.
"""

from __future__ import annotations

TOKEN = 1_000_000_000
"""One request. State is counted in billionths of it, in whole numbers, rounded down."""


class Gcra:
    """``rate_per_s`` > 0; ``burst`` >= 1, the most that may come at once.

    The whole is cut in ``burst`` units, of each of which one token may be saved and a ``burst``th of the rate comes.
    Who holds some of them, and nobody else holds the same, has so much of rate and burst: over all holders the sum
    keeps the bound, as long as units that change hands bring no more tokens than were given back with them.
    """

    __slots__ = ("_per_ns", "burst", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._per_ns = rate_per_s / burst

    def __repr__(self) -> str:
        return f"Gcra({self.rate_per_s:g}/s, burst {self.burst})"

    def grown(self, tokens: int, elapsed_ns: int, units: float, most: int) -> int:
        """What ``tokens`` have become after a time in which ``units`` were held, of which ``most`` tokens are kept."""
        if elapsed_ns > 0:
            tokens += int(elapsed_ns * self._per_ns * units)
        return min(tokens, most * TOKEN)

    def wait_ns(self, tokens: int) -> int:
        """Until there is a whole one, at the whole rate."""
        return max(0, int((TOKEN - tokens) / self.rate_per_s) + 1)

    @property
    def fill_ms(self) -> int:
        """Until an empty bucket is full, rounded up."""
        return int(self.burst * 1000 / self.rate_per_s) + 1
