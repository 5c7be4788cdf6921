"""The virtual clock and what is to happen: it jumps from one event to the next."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any


class Agenda:
    """Events of the same instant happen in the order in which they were planned."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._number = count()

    def plan(self, at: float, happen: Callable[[Any], None], what: Any = None) -> None:
        heappush(self._events, (at, next(self._number), happen, what))

    def run_until(self, at: float) -> None:
        """Everything that is due by then; the clock shows ``at`` afterwards."""
        events = self._events
        while events and events[0][0] <= at:
            self._next()
        self.now = at

    def run_out(self) -> None:
        """Everything there is, and what comes of it."""
        while self._events:
            self._next()

    def _next(self) -> None:
        self.now, _, happen, what = heappop(self._events)
        happen(what)
