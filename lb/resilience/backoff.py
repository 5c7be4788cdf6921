"""How long to wait before trying again. Pure: chance is an argument, nothing sleeps here.

Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: of the variants compared there,
full jitter needs the fewest calls, because it spreads the competitors over the whole interval.
"""

from __future__ import annotations

MAX_DOUBLINGS = 62
"""Enough for any cap; keeps the power in a float however often a caller has tried."""


def full_jitter_s(tries: int, *, base_s: float, cap_s: float, uniform: float) -> float:
    """Seconds to wait after ``tries`` failures (1 after the first): ``uniform`` x min(cap, base x 2^(tries-1)).

    ``uniform`` is a random number in [0, 1). The wait may be close to zero; that is the point of full jitter.
    """
    doublings = min(max(tries - 1, 0), MAX_DOUBLINGS)
    return uniform * min(cap_s, base_s * 2.0**doublings)
