"""Active probes of the backends that go down in a scenario, with the real rule for verdicts.

All balancers probe at the same instants. Only what is down fails a probe: a TCP probe does not notice
that answers are slow or wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

from lb.model import Health
from lb.resilience.hysteresis import Hysteresis, Verdict
from lb.simulate.backend import SimulatedBackend


class Probes:
    """``verdicts[i]``: whether backend ``i`` is up, as far as probes know. All are at the start."""

    def __init__(self, health: Health, backends: Sequence[SimulatedBackend]) -> None:
        self.verdicts = [True] * len(backends)
        self._probed = [
            (i, backend.troubles, Hysteresis(health.rise, health.fall, Verdict.UP))
            for i, backend in enumerate(backends)
            if backend.troubles is not None and backend.troubles.goes_down
        ]

    @property
    def are_needed(self) -> bool:
        return bool(self._probed)

    def probe(self, now: float) -> tuple[set[int], bool]:
        """Who passed, and whether a verdict changed."""
        passed: set[int] = set()
        has_changed = False
        for i, troubles, hysteresis in self._probed:
            is_up = not troubles.is_down(now)
            if is_up:
                passed.add(i)
            if hysteresis.observe(is_up):
                self.verdicts[i] = is_up
                has_changed = True
        return passed, has_changed
