"""What backends say about themselves when they are polled, as ``adaptive`` hears it.

The processor is busy for the part of its slots' time that was asked of them since the last poll; memory is
never short.
"""

from __future__ import annotations

from collections.abc import Sequence

from lb.model import AdaptiveOptions
from lb.policies.score import score
from lb.simulate.backend import SimulatedBackend
from lb.simulate.scenario import Behaviour


class LoadReports:
    """The same for all balancers: each polls for itself, but what they hear is as old on average."""

    def __init__(
        self, options: AdaptiveOptions, backends: Sequence[SimulatedBackend], behaviours: Sequence[Behaviour]
    ) -> None:
        self._options = options
        self._backends = backends
        self._slots = [behaviour.slots for behaviour in behaviours]
        self._before = [(0.0, 0, 0.0)] * len(backends)
        self._heard: list[tuple[float, float]] = []
        """CPU in percent and latency in seconds; nothing before the first poll."""

    def poll(self) -> None:
        now = [(one.busy_s, one.answers, one.answered_s) for one in self._backends]
        self._heard = [
            self._report(slots, before, after)
            for slots, before, after in zip(self._slots, self._before, now, strict=True)
        ]
        self._before = now

    def _report(
        self, slots: int, before: tuple[float, int, float], after: tuple[float, int, float]
    ) -> tuple[float, float]:
        busy_s, answers, answered_s = (new - old for new, old in zip(after, before, strict=True))
        cpu_percent = min(100.0 * busy_s / (slots * self._options.poll_interval_s), 100.0)
        return cpu_percent, answered_s / answers if answers else 0.0

    def score(self, i: int, load: int) -> float:
        if not self._heard:
            return 1.0
        cpu_percent, latency_s = self._heard[i]
        return score(self._options, cpu_percent, 0.0, load, latency_s)
