"""Coarse deadlines: one hub timer sweeps all of them, so a request never starts or stops a timer.

A ``Deadline`` belongs to one greenlet. Whoever waits sets ``at`` and ``reason`` first; when the sweep
finds it passed it throws ``Expired`` into the greenlet, wherever that waits. Late by at most one period.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from greenlet import greenlet

NEVER: Final = float("inf")
PERIOD_S: Final = 0.1


class Expired(BaseException):
    """A deadline passed. Not an ``Exception``: no library code on the way may swallow it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Deadline:
    """``at``: CLOCK_MONOTONIC seconds, or NEVER. ``reason``: a key of ``lb.errors.REASONS``."""

    __slots__ = ("at", "greenlet", "reason")

    def __init__(self, owner: greenlet | None) -> None:
        self.at = NEVER
        self.greenlet = owner
        self.reason = ""

    def set(self, at: float, reason: str) -> None:
        self.at = at
        self.reason = reason


class Sweeper:
    """Runs on the hub of one worker. ``now`` is the time of the last sweep, good to a tenth of a second."""

    def __init__(self, hub: Any) -> None:
        self.now = monotonic()
        self.deadlines: set[Deadline] = set()
        self._tasks: list[Callable[[float], None]] = []
        self._timer = hub.loop.timer(PERIOD_S, PERIOD_S, ref=False)

    def start(self) -> None:
        self._timer.start(self._sweep)

    def stop(self) -> None:
        self._timer.stop()

    def every_sweep(self, task: Callable[[float], None]) -> None:
        """``task(now)`` runs on the hub at each sweep: it must be quick and must not switch."""
        self._tasks.append(task)

    def _sweep(self) -> None:
        """Looks again before each: whoever was thrown at may have called off another of its deadlines."""
        self.now = now = monotonic()
        for deadline in [one for one in self.deadlines if one.at <= now]:
            if deadline.at <= now and deadline.greenlet is not None and deadline in self.deadlines:
                deadline.at = NEVER
                deadline.greenlet.throw(Expired(deadline.reason))
        for task in self._tasks:
            task(now)
