"""How far a start has come, and how long it may take. Pure.

Ready means more than that somebody accepts: before the first round of probes a worker asks backends
that nobody has looked at. But no backend and no controller may keep a balancer from being ready.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

START_PATIENCE_S = 30.0
"""Until a worker serves; then the start has failed."""
PROBES_PATIENCE_S = 3.0
"""From then on for the first round of probes; then we are ready without it, and say so."""


class Phase(Enum):
    PREPARING = auto()
    """The file is read, the sockets are taken."""
    STARTING = auto()
    """Processes have been started, no worker serves yet."""
    PROBING = auto()
    """A worker serves; the first round of probes is under way."""
    READY = auto()
    OVER = auto()
    """It failed, or somebody stopped it: it never becomes ready."""


@dataclass(slots=True)
class Boot:
    """``deadline``: of the phase, where it has one."""

    phase: Phase = Phase.PREPARING
    deadline: float | None = None

    def started(self, now: float) -> None:
        self.phase, self.deadline = Phase.STARTING, now + START_PATIENCE_S

    def serving(self, now: float) -> None:
        """A worker serves. Only the first time is news."""
        if self.phase == Phase.STARTING:
            self.phase, self.deadline = Phase.PROBING, now + PROBES_PATIENCE_S

    def ready(self) -> None:
        self.phase, self.deadline = Phase.READY, None

    def end(self) -> None:
        if self.phase != Phase.READY:
            self.phase, self.deadline = Phase.OVER, None

    def is_overdue(self, now: float) -> bool:
        return self.deadline is not None and now >= self.deadline
