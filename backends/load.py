"""What this process measures of itself: processor, memory, bytes, requests in work, answer times.

Values are measured when asked for, at most once a second, so that several pollers do not shorten
each other's window. No greenlet of its own.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import psutil

WINDOW_S = 1.0
SMOOTHING = 0.1
UNHEALTHY_CPU_PERCENT = 95.0
UNHEALTHY_MEMORY_PERCENT = 90.0


@dataclass(frozen=True, slots=True)
class Load:
    """One reading. ``cpu_percent`` is the share of the processors this process may run on, as a
    container would report it: one saturated thread on a two-core machine is 50. ``net_bytes`` are the
    answers sent and the request bodies that came with a Content-Length."""

    cpu_percent: float
    memory_percent: float
    net_bytes: int
    inflight: int
    response_time_s: float

    @property
    def is_healthy(self) -> bool:
        return self.cpu_percent <= UNHEALTHY_CPU_PERCENT and self.memory_percent <= UNHEALTHY_MEMORY_PERCENT


class Meter:
    """Counts what the server tells it and reads the rest from the operating system."""

    def __init__(self) -> None:
        self.inflight = 0
        self.net_bytes = 0
        self.requests = 0
        self.response_time_s = 0.0
        self._process = psutil.Process()
        self._processors = len(os.sched_getaffinity(0))
        self._process.cpu_percent()  # opens the first window
        self._sampled_at = time.monotonic()
        self._cpu_percent = 0.0
        self._memory_percent = self._process.memory_percent()

    def finish(self, took_s: float) -> None:
        """One request answered: moves the average of answer times (exponential, weight 0.1)."""
        self.requests += 1
        weight = SMOOTHING if self.requests > 1 else 1.0
        self.response_time_s += weight * (took_s - self.response_time_s)

    def read(self) -> Load:
        if time.monotonic() - self._sampled_at >= WINDOW_S:
            self._sample()
        return Load(self._cpu_percent, self._memory_percent, self.net_bytes, self.inflight, self.response_time_s)

    def _sample(self) -> None:
        self._sampled_at = time.monotonic()
        self._cpu_percent = min(100.0, self._process.cpu_percent() / self._processors)
        self._memory_percent = self._process.memory_percent()
