"""Drawing one index in proportion to weights in constant time: the alias method. Pure.

Sources: A. J. Walker, ACM TOMS 3(3), 1977; the linear-time construction is Vose's (IEEE TSE 17(9), 1991).
"""

from __future__ import annotations

from collections.abc import Sequence


def alias_table(weights: Sequence[int]) -> tuple[list[float], list[int]]:
    """``(keep, other)``. With ``r = random() * n`` and ``i = int(r)``, the draw is ``i`` if
    ``r - i < keep[i]``, else ``other[i]``. Weights must be positive. O(n)."""
    count, total = len(weights), sum(weights)
    keep = [weight * count / total for weight in weights]
    other = list(range(count))
    poor = [i for i in range(count) if keep[i] < 1.0]
    rich = [i for i in range(count) if keep[i] >= 1.0]
    while poor and rich:
        i, giver = poor.pop(), rich[-1]
        other[i] = giver
        keep[giver] -= 1.0 - keep[i]
        if keep[giver] < 1.0:
            poor.append(rich.pop())
    for i in poor + rich:  # what rounding left over
        keep[i] = 1.0
    return keep, other
