"""How much of its share a backend gets that has just come up: caches are cold, connections few. Pure.

HAProxy's ``slowstart`` and nginx's ``slow_start`` raise the weight evenly from nothing; Envoy keeps a tenth from the start
(``min_weight_percent``), so that there is something to warm up by. So do we.
"""

from __future__ import annotations

LEAST = 0.1


def share(since_s: float, window_s: float) -> float:
    """Of its full share, ``since_s`` after it came up: ``LEAST`` to 1.0, which it has after ``window_s``; 0: at once."""
    if since_s >= window_s:
        return 1.0
    return max(LEAST, since_s / window_s)
