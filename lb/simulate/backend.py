"""A simulated backend: slots, a queue in the order of arrival, and what is wrong with it at the time.

Knows nothing of balancers. First come, first served, so when an attempt ends is known the moment it
comes; no event has to be planned for its beginning, and one that is given up goes on here, as it would live.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from heapq import heapreplace
from random import Random

from lb.simulate.faults import Antagonist, Troubles
from lb.simulate.scenario import Behaviour


class Outcome(Enum):
    """How an attempt ends; the values are the words of ``retry.on`` where it has one for them."""

    ANSWERED = "200"
    UNAVAILABLE = "503"
    RESET = "reset"
    REFUSED = "connect"
    TIMEOUT = "timeout"
    TOTAL_TIMEOUT = "total"


class SimulatedBackend:
    """``busy_s``: seconds of work over all its slots. ``answers`` and ``answered_s`` are for who polls it."""

    __slots__ = (
        "_behaviour", "_chance", "_draw", "_free_at", "_queue", "_starts", "_up_since", "answered_s", "answers",
        "attempts", "busy_s", "troubles",
    )  # fmt: skip

    def __init__(self, behaviour: Behaviour, chance: Random, antagonist: Antagonist | None) -> None:
        self.busy_s = 0.0
        self.attempts = 0
        self.answers = 0
        self.answered_s = 0.0
        self.troubles = Troubles(behaviour.faults, antagonist) if behaviour.faults or antagonist else None
        self._behaviour = behaviour
        self._chance = chance
        self._draw = behaviour.service.draw_from(chance)
        self._queue = behaviour.queue
        self._up_since = 0.0
        self._clear()

    def _clear(self) -> None:
        self._free_at = [0.0] * self._behaviour.slots
        """A heap: when each slot has done all that is promised to it."""
        self._starts: deque[float] = deque()
        """When those that wait will begin; kept only where the queue is limited."""

    def take(self, now: float) -> tuple[float, Outcome]:
        """When an attempt that comes now ends if nobody gives it up before, and how."""
        self.attempts += 1
        if self.troubles is not None:
            return self._take_in_trouble(now, self.troubles)
        if self._is_full(now):
            return now, Outcome.UNAVAILABLE
        start = max(now, self._free_at[0])
        took_s = self._draw()
        self._work(start, start + took_s)
        self.busy_s += took_s
        return start + took_s, Outcome.ANSWERED

    def _take_in_trouble(self, now: float, troubles: Troubles) -> tuple[float, Outcome]:
        if troubles.is_down(now):
            return now, Outcome.REFUSED
        up_since = troubles.up_since(now)
        if up_since > self._up_since:
            self._up_since = up_since
            self._clear()
        failing = troubles.failing(now)
        if (failing and self._chance.random() < failing) or self._is_full(now):
            return now, Outcome.UNAVAILABLE
        start = max(now, self._free_at[0])
        end = start + self._draw() * troubles.slow(start)
        self._work(start, end)
        lost_at = troubles.next_down(now)
        self.busy_s += max(min(end, lost_at) - start, 0.0)
        return (end, Outcome.ANSWERED) if end <= lost_at else (lost_at, Outcome.RESET)

    def _work(self, start: float, end: float) -> None:
        heapreplace(self._free_at, end)
        if self._queue is not None:
            self._starts.append(start)

    def _is_full(self, now: float) -> bool:
        """A request that begins at once needs no place in the queue."""
        if self._queue is None or self._free_at[0] <= now:
            return False
        starts = self._starts
        while starts and starts[0] <= now:
            starts.popleft()
        return len(starts) >= self._queue
