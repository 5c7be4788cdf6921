"""The probes of ``prequal``, on the virtual clock: who is asked is the real rule's choice, the answer is there at once.

In the place of ``lb.proxy.probing``. A backend that is down answers no probe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lb.policies.probe_pool import ProbePool
from lb.simulate.agenda import Agenda
from lb.simulate.backend import SimulatedBackend
from lb.simulate.self_report import SelfReport

TICK_S = 0.01
"""As there."""


class VirtualProber:
    """Of one worker; what is its own is set right after."""

    pool: ProbePool
    load: Callable[[int], int]

    def __init__(
        self,
        agenda: Agenda,
        backends: Sequence[SimulatedBackend],
        reports: Sequence[SelfReport],
        random: Callable[[], float],
    ) -> None:
        self._agenda = agenda
        self._backends = backends
        self._reports = reports
        self._random = random

    def start(self) -> None:
        self._agenda.plan(self._agenda.now + TICK_S, self._tick)

    def _tick(self, _: object) -> None:
        for i in self.pool.due(self._random):
            troubles = self._backends[i].troubles
            if troubles is not None and troubles.is_down(self._agenda.now):
                self.pool.forget(i)
                continue
            report = self._reports[i]
            self.pool.add(i, report.inflight, report.latency_s(), self.load(i))
        if self.pool.is_probing:
            self._agenda.plan(self._agenda.now + TICK_S, self._tick)
