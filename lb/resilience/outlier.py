"""Passive health: when what real requests saw takes a backend out. Pure; the caller has the clock.

Errors in a row eject (Envoy's outlier detection, ``consecutive_5xx``): 5 answers 5xx, or none at all but for
refused connects, for 30 s times the number of ejections so far, at most 300 s. Who has not been ejected again for
as long as the last ejection took, and the bound on top, starts anew. How many of a pool may be out at
once is the pool's decision, not this module's.
"""

from __future__ import annotations

CONSECUTIVE_ERRORS = 5
BASE_EJECTION_S = 30.0
MAX_EJECTION_S = 300.0
ABOUT_THE_REQUEST = (501, 505)
"""Not Implemented and HTTP Version Not Supported (RFC 9110 sections 15.6.2 and 15.6.6) are no errors here: whoever asks
for them would eject backends that are well. No successes either: they would hide the errors of others."""


class ConsecutiveErrors:
    """Counts one backend's errors in a row, in one worker."""

    __slots__ = ("_forgotten_at", "ejections", "errors")

    def __init__(self) -> None:
        self.errors = 0
        self.ejections = 0
        self._forgotten_at = 0.0

    def __repr__(self) -> str:
        return f"<ConsecutiveErrors {self.errors} in a row, ejected {self.ejections} times>"

    def success(self) -> None:
        self.errors = 0

    def failure(self, now: float) -> float:
        """Counts one at ``now`` (seconds of a clock that never goes back); returns for how many seconds the
        backend should be ejected from now on, mostly 0.0."""
        self.errors += 1
        if self.errors < CONSECUTIVE_ERRORS:
            return 0.0
        self.errors = 0
        self.ejections = self.ejections + 1 if now < self._forgotten_at else 1
        ejection_s = min(BASE_EJECTION_S * self.ejections, MAX_EJECTION_S)
        self._forgotten_at = now + ejection_s + MAX_EJECTION_S
        return ejection_s
