"""From single probe results to a verdict that does not flap. Pure state, no clock.

Knows nothing of who probes, how often, or where the verdict is written.
"""

from __future__ import annotations

from enum import IntEnum


class Verdict(IntEnum):
    """The numbers are those of the verdict cell in the shared segment."""

    UNKNOWN = 0
    UP = 1
    DOWN = 2


class Hysteresis:
    """``rise`` good probes in a row bring a backend up, ``fall`` bad ones take it down.

    At boot nothing is known, and the first probe decides alone: one good one is enough to get
    traffic, one bad one keeps it away, so that a start needs a single round of probes.
    """

    __slots__ = ("_against", "_fall", "_rise", "verdict")

    def __init__(self, rise: int, fall: int, verdict: Verdict = Verdict.UNKNOWN) -> None:
        self._rise = rise
        self._fall = fall
        self._against = 0
        self.verdict = verdict

    def observe(self, ok: bool) -> bool:
        """One probe's result; whether it changed the verdict."""
        claimed = Verdict.UP if ok else Verdict.DOWN
        if claimed is self.verdict:
            self._against = 0
            return False
        self._against += 1
        if self.verdict is not Verdict.UNKNOWN and self._against < (self._rise if ok else self._fall):
            return False
        self.verdict, self._against = claimed, 0
        return True

    def __repr__(self) -> str:
        return f"Hysteresis({self.verdict.name}, {self._against} against)"
