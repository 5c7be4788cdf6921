"""Passive health: when what real requests saw takes a backend out. Pure; the caller has the clock.

Consecutive gateway errors eject (Envoy's outlier detection, ``consecutive_gateway_failure``): 5 in a
row, for 30 s times the number of ejections so far, at most 300 s. How many of a pool may be out at
once is the pool's decision, not this module's.
"""

from __future__ import annotations

CONSECUTIVE_ERRORS = 5
BASE_EJECTION_S = 30.0
MAX_EJECTION_S = 300.0


class ConsecutiveErrors:
    """Counts one backend's errors in a row, in one worker."""

    __slots__ = ("ejections", "errors")

    def __init__(self) -> None:
        self.errors = 0
        self.ejections = 0

    def __repr__(self) -> str:
        return f"<ConsecutiveErrors {self.errors} in a row, ejected {self.ejections} times>"

    def success(self) -> None:
        self.errors = 0

    def failure(self) -> float:
        """Counts one; returns for how many seconds the backend should be ejected now, mostly 0.0."""
        self.errors += 1
        if self.errors < CONSECUTIVE_ERRORS:
            return 0.0
        self.errors = 0
        self.ejections += 1
        return min(BASE_EJECTION_S * self.ejections, MAX_EJECTION_S)
