"""How many retries a pool can afford. Pure: the clock is an argument; one per pool and worker.

Source: Finagle's ``RetryBudget`` (10 s window, a share of the requests plus a floor per second). It keeps a
backend's bad minute from being multiplied by everybody's second attempts.
"""

from __future__ import annotations

WINDOW_S = 10
"""Finagle's ``DefaultTtl``: what happened longer ago counts for nothing."""


class RetryBudget:
    """In any window: retries <= ``percent`` of the requests + ``min_per_s`` x window.

    Both operations are O(1): one bucket per second, and running sums. The percentage adds up over workers; the
    floor is per budget, so a caller who promises it per machine divides it by the number of workers.
    """

    __slots__ = ("_bucket", "_floor", "_ratio", "_request_sum", "_requests", "_retries", "_retry_sum")

    def __init__(self, percent: float, min_per_s: float) -> None:
        self._ratio = percent / 100.0
        self._floor = min_per_s * WINDOW_S
        self._requests = [0] * WINDOW_S
        self._retries = [0] * WINDOW_S
        self._request_sum = 0
        self._retry_sum = 0
        self._bucket = 0

    def request(self, now: float, count: int = 1) -> None:
        """Count requests: once each, not for their retries."""
        self._advance(now)
        self._requests[self._bucket % WINDOW_S] += count
        self._request_sum += count

    def withdraw(self, now: float) -> bool:
        """Whether one retry is allowed now; if so it is spent. Ask last, when everything else permits it."""
        if self.balance(now) < 1.0:
            return False
        self._retries[self._bucket % WINDOW_S] += 1
        self._retry_sum += 1
        return True

    def balance(self, now: float) -> float:
        """Retries that are left; for ``explain`` and metrics."""
        self._advance(now)
        return self._ratio * self._request_sum + self._floor - self._retry_sum

    def _advance(self, now: float) -> None:
        """Empty the buckets of the seconds that have gone by. A clock that stands still or steps back changes nothing."""
        bucket = int(now)
        if bucket <= self._bucket:
            return
        for gone in range(max(self._bucket + 1, bucket - WINDOW_S + 1), bucket + 1):
            place = gone % WINDOW_S
            self._request_sum -= self._requests[place]
            self._retry_sum -= self._retries[place]
            self._requests[place] = self._retries[place] = 0
        self._bucket = bucket
