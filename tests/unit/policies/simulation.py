"""A discrete simulation around the real pickers: Poisson arrivals, backends with a number of slots and a queue.

Every worker has its own latency estimates and all share the inflight counts, as in production.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from lb.model import PrequalOptions
from lb.policies.base import Picker
from lb.policies.latency import PeakEwma
from lb.policies.mean_time import INTERVAL_S, MeanTimes
from lb.policies.probe_pool import ProbePool
from tests.unit.policies.context import members_of, picker_of

Service = Callable[[random.Random, int, float], float]
"""Seconds of work of a request that backend ``i`` begins at time ``t``."""


def exponential(*mean_s: float) -> Service:
    """Backend ``i`` needs ``mean_s[i]`` on average."""
    return lambda chance, i, t: chance.expovariate(1.0 / mean_s[i])


@dataclass
class Result:
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    """When, and to which backend."""
    latencies_s: list[float] = field(default_factory=list)

    def percentile_ms(self, part: float) -> float:
        return sorted(self.latencies_s)[int(len(self.latencies_s) * part)] * 1000

    def share(self, backend: int) -> float:
        return sum(i == backend for _, i in self.arrivals) / len(self.arrivals)

    def smallest_share(self, backends: int, window_s: float) -> float:
        """Of any backend in any whole window, as a part of its fair share."""
        windows: dict[int, list[int]] = {}
        for at_s, i in self.arrivals:
            windows.setdefault(int(at_s // window_s), [0] * backends)[i] += 1
        del windows[max(windows)]
        return min(min(taken) * backends / sum(taken) for taken in windows.values())


class Simulation:
    """The pick context of all workers, the backends, and the clock."""

    key = b"192.0.2.1"

    def __init__(self, policy: str, service: Service, *, backends: int, workers: int = 1, seed: int = 1) -> None:
        self.now = 0.0
        self._chance = random.Random(seed)
        self.random = self._chance.random
        self._pick: Picker = picker_of(policy, members_of([1] * backends))
        self._service = service
        self._estimates = [[PeakEwma() for _ in range(backends)] for _ in range(workers)]
        self._times = [MeanTimes(backends) for _ in range(workers)]
        self._totals = [[(0, 0)] * backends for _ in range(workers)]
        self._looked_at = [-INTERVAL_S] * workers
        self.probes = ProbePool(PrequalOptions(), lambda: self.now, lambda: None)
        self._worker = 0
        self._inflight = [0] * backends
        self._busy_slots = [0] * backends
        self._waiting: list[deque[tuple[float, int]]] = [deque() for _ in range(backends)]
        self._ends: list[tuple[float, int, int, float, int]] = []
        self._number = count()
        self._tickets = count()

    def ticket(self) -> int:
        return next(self._tickets)

    def load(self, i: int) -> int:
        return self._inflight[i]

    def inflight(self) -> int:
        return sum(self._inflight)

    def latency(self, i: int) -> float:
        return self._estimates[self._worker][i].value(self.now)

    def response_time(self, i: int) -> float:
        times = self._times[self._worker]
        if self.now - self._looked_at[self._worker] >= INTERVAL_S:
            self._looked_at[self._worker] = self.now
            times.look([(answers, 0, us) for answers, us in self._totals[self._worker]], self.now)
        return times.seconds[i]

    def score(self, i: int) -> float:
        return 1.0

    def recall(self) -> int:
        return -1

    def remember(self, i: int) -> None:
        pass

    def run(self, *, rate_per_s: float, seconds: float, slots: int = 8) -> Result:
        result = Result()
        arrival = self._chance.expovariate(rate_per_s)
        while arrival < seconds or self._ends:
            if arrival < seconds and (not self._ends or arrival <= self._ends[0][0]):
                self.now = arrival
                self._arrive(slots, result)
                arrival += self._chance.expovariate(rate_per_s)
            else:
                self._finish(slots, result)
        return result

    def _arrive(self, slots: int, result: Result) -> None:
        self._worker = self._chance.randrange(len(self._estimates))
        i = self._pick(self)
        self._inflight[i] += 1
        self._waiting[i].append((self.now, self._worker))
        result.arrivals.append((self.now, i))
        self._begin(i, slots)

    def _begin(self, i: int, slots: int) -> None:
        if self._waiting[i] and self._busy_slots[i] < slots:
            arrived, worker = self._waiting[i].popleft()
            self._busy_slots[i] += 1
            end = self.now + self._service(self._chance, i, self.now)
            heapq.heappush(self._ends, (end, next(self._number), i, arrived, worker))

    def _finish(self, slots: int, result: Result) -> None:
        self.now, _, i, arrived, worker = heapq.heappop(self._ends)
        self._inflight[i] -= 1
        self._busy_slots[i] -= 1
        self._estimates[worker][i].observe(self.now - arrived, self.now)
        answers, answered_us = self._totals[worker][i]
        self._totals[worker][i] = answers + 1, answered_us + int((self.now - arrived) * 1e6)
        result.latencies_s.append(self.now - arrived)
        self._begin(i, slots)
