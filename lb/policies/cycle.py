"""Smooth weighted order: which index gets ticket number t. Pure; used at build time.

Two ways, both exact over ``sum(weights)`` consecutive tickets: the cycle of nginx written out, and
for weights whose cycle would be too long to write out, a walk in strides of the golden ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import gcd

MAX_STEPS = 65_536
"""Longest build we do in a worker, in inner steps of ``smooth_cycle`` (about 10 ms)."""

_GOLDEN = (5**0.5 - 1) / 2
_CANDIDATES = 64


def cycle_steps(weights: Sequence[int]) -> int:
    """What ``smooth_cycle`` would cost."""
    return sum(weights) * len(set(weights))


def smooth_cycle(weights: Sequence[int]) -> list[int]:
    """Indices into ``weights`` in the order of nginx's smooth weighted round robin (its commit 52327e0,
    2012): every step each index gains its weight, the richest is taken and pays the total.

    Indices of equal weight are served in turn, so only the next one of each distinct weight has to
    be looked at: after t steps it owns ``weight * t - total * turns``. Ties go to the lower index.
    """
    total = sum(weights)
    classes = [(weight, [i for i, w in enumerate(weights) if w == weight]) for weight in sorted(set(weights))]
    taken = [0] * len(classes)
    order = []
    for step in range(1, total + 1):
        richest, place, index = -total * total, 0, len(weights)
        for c, (weight, indices) in enumerate(classes):
            turns, turn = divmod(taken[c], len(indices))
            owned = weight * step - total * turns
            if owned > richest or (owned == richest and indices[turn] < index):
                richest, place, index = owned, c, indices[turn]
        taken[place] += 1
        order.append(index)
    return order


def golden_walk(weights: Sequence[int]) -> tuple[list[int], int, int]:
    """``(ends, stride, total)``: ticket t belongs to index ``bisect_right(ends, t * stride % total)``.

    The stride has no common divisor with the total, so every point of the line 0..total-1 is met
    once per cycle: weights are exact. Near the golden ratio the visits to a stretch of the line are
    spread almost evenly (three-distance theorem, Sós 1957), whatever the weights.
    """
    total = sum(weights)
    return list(accumulate(weights)), _stride(total), total


def _stride(total: int) -> int:
    """Of the whole numbers around the golden section, the one that is hardest to approximate by a fraction."""
    golden = round(total * _GOLDEN)
    near = range(max(1, golden - _CANDIDATES), min(total, golden + _CANDIDATES) + 1)
    return min((stride for stride in near if gcd(stride, total) == 1), key=lambda stride: _largest_term(total, stride))


def _largest_term(a: int, b: int) -> int:
    """Of the continued fraction a / b: a large term means the walk nearly closes early and leaves long gaps."""
    largest = 0
    while b:
        largest = max(largest, a // b)
        a, b = b, a % b
    return largest
