"""Looks once a second at how the requests to each backend ended, and gives less to those that stand out (``lb.resilience.success_rate``)."""

from __future__ import annotations

import logging
from collections.abc import Callable

from lb.model import Pool, Snapshot
from lb.resilience.success_rate import INTERVAL_S, SuccessRates
from lb.state.layout import C_BAD_RESPONSE, C_COUNT, C_RESET, C_STATUS, C_TIMEOUT
from lb.state.segment import Segment

FAILURES = (C_STATUS + 5, C_RESET, C_TIMEOUT, C_BAD_RESPONSE)
"""Refused connections are not among them: whoever refuses is not asked."""
_log = logging.getLogger("lb.health")


class Outliers:
    """One per controller. ``trust``: told how much of its share a backend (``POOL/ID``) may have, when that changes."""

    def __init__(self, trust: Callable[[str, float], None]) -> None:
        self._trust = trust
        self._watched: dict[str, _Watched] = {}

    def apply(self, snapshot: Snapshot, segment: Segment) -> None:
        """A pool whose backends are the same goes on; in another one all begin anew, with their whole share."""
        before, self._watched = self._watched, {}
        for pool in snapshot.config.pools:
            if pool.outlier_errors >= 1.0 or len(pool.backends) < 2:
                continue
            columns = [snapshot.columns[f"backend:{pool.id}/{backend.id}"] for backend in pool.backends]
            watched = before.get(pool.id)
            if watched is None or not watched.is_of(pool, columns, segment):
                watched = _Watched(pool, columns, segment)
            self._watched[pool.id] = watched
        going_on = set(self._watched.values())
        for left in before.values():
            if left not in going_on:
                for name in left.names:
                    self._trust(name, 1.0)

    def look(self) -> float:
        for watched in self._watched.values():
            for name, share in watched.look():
                self._trust(name, share)
        return INTERVAL_S


class _Watched:
    def __init__(self, pool: Pool, columns: list[int], segment: Segment) -> None:
        self.names = [f"{pool.id}/{backend.id}" for backend in pool.backends]
        self._columns = columns
        self._excess = pool.outlier_errors
        self._segment = segment
        self._rates = SuccessRates(len(columns), pool.outlier_errors)
        self._before: list[tuple[int, int]] | None = None

    def is_of(self, pool: Pool, columns: list[int], segment: Segment) -> bool:
        return (columns, pool.outlier_errors) == (self._columns, self._excess) and segment is self._segment

    def look(self) -> list[tuple[str, float]]:
        """Who has less than its share, or has just got it back."""
        now = [self._ended(column) for column in self._columns]
        before, self._before = self._before, now
        if before is None:
            return []
        kept = list(self._rates.shares)
        self._rates.look([(max(n - b, 0), max(e - c, 0)) for (n, e), (b, c) in zip(now, before, strict=True)])
        found = []
        for name, was, share in zip(self.names, kept, self._rates.shares, strict=True):
            if share < 1.0 or share != was:  # unchanged too: whoever holds it may have begun anew
                found.append((name, share))
            if share != was and 1.0 in (share, was):
                _log.log(*_said(share), name)
        return found

    def _ended(self, column: int) -> tuple[int, int]:
        attempts, *failures = self._segment.sums(column, (C_COUNT, *FAILURES))
        return attempts, sum(failures)


def _said(share: float) -> tuple[int, str]:
    if share < 1.0:
        return logging.WARNING, "outlier backend=%s fails more often than the others of its pool: it gets less"
    return logging.INFO, "outlier backend=%s gets its whole share again"
