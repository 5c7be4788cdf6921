"""What a backend says of itself when ``prequal`` probes it: its requests in flight, and the latency at about that many.

As the servers of the paper do (NSDI 2024, section 4.1): each answer's latency is filed under the requests that were in flight
when it came, and a probe is told the median of the latest ones near the present number.
"""

from __future__ import annotations

from collections import deque

KEPT = 16
"""Latencies by number of requests in flight."""

NEAR = 8
"""So far from the present number latencies are looked for; beyond that the last one of all counts."""


class SelfReport:
    def __init__(self) -> None:
        self.inflight = 0
        self._seen: dict[int, deque[float]] = {}
        self._last_s = 0.0

    def begin(self) -> int:
        """A request came. Returns what it has to be ended with."""
        self.inflight += 1
        return self.inflight

    def end(self, came_as: int, took_s: float) -> None:
        self.inflight -= 1
        self._last_s = took_s
        self._seen.setdefault(came_as, deque(maxlen=KEPT)).append(took_s)

    def latency_s(self) -> float:
        """0.0 before the first answer."""
        now = self.inflight + 1
        for away in range(NEAR):
            for near in (now - away, now + away):
                if near in self._seen:
                    found = sorted(self._seen[near])
                    return found[len(found) // 2]
        return self._last_s
