"""A latency estimate that believes bad news at once and good news slowly. Pure: the clock is an argument.

From Finagle's ``PeakEwma`` load metric (also tower's ``load::peak_ewma``), with two changes. There one
hiccup of a good backend shuts it out for ``tau x ln(hiccup / usual)``, 50 s for 500 ms against 3 ms; here it is
doubted for a second, and longer only when it is slow again each time it is tried. And there one
lucky first answer of a slow backend draws everybody; here three answers make an estimate.
"""

from __future__ import annotations

from math import exp

TAU_S = 10.0
"""Time constant of confirmed bad news: Finagle's and tower's default."""

DOUBT_S = 1.0
"""Time constant of bad news that came once. Each confirmation doubles it, up to ``TAU_S``."""

EASE = 0.9
"""What an answer in less than half the estimated time makes of the time constant, down to ``DOUBT_S``."""

TRIALS = 3
"""Answers before there is an estimate at all."""

FORGET_S = 6 * TAU_S
"""Silence after which there is none any more: it would have sunk to nearly nothing, and everybody
would take the member for the fastest."""

SHORTEST_S = 1e-6
"""Less is not measured; 0.0 stands for unknown."""


class PeakEwma:
    """Seconds to first byte of one member, as one worker sees it. ``now`` is any clock that only goes forward.

    Failures should be observed too, with the time they took or a penalty if they were quick:
    a backend that fails fast must not look like a fast backend.
    """

    __slots__ = ("_answers", "_peak_s", "_seen_at", "_tau_s")

    def __init__(self) -> None:
        self._answers = 0
        self._peak_s = 0.0
        self._seen_at = 0.0
        self._tau_s = DOUBT_S

    def observe(self, rtt_s: float, now: float) -> None:
        """An answer took ``rtt_s``. Above the estimate, that is the estimate; below, it sinks towards it."""
        rtt_s = max(rtt_s, SHORTEST_S)
        age_s = max(now - self._seen_at, 0.0)
        if age_s > FORGET_S:
            self._answers, self._peak_s, self._tau_s = 0, 0.0, DOUBT_S
        keep = exp(-age_s / self._tau_s)
        decayed_s = self._peak_s * keep
        if rtt_s >= decayed_s:
            self._rise(rtt_s)
        else:
            self._sink(decayed_s + rtt_s * (1.0 - keep), rtt_s)
        self._answers += 1
        self._seen_at += age_s

    def _rise(self, rtt_s: float) -> None:
        self._peak_s = rtt_s
        if self._answers:
            self._tau_s = min(self._tau_s * 2.0, TAU_S)

    def _sink(self, to_s: float, rtt_s: float) -> None:
        self._peak_s = to_s
        if rtt_s < to_s / 2:
            self._tau_s = max(self._tau_s * EASE, DOUBT_S)

    def value(self, now: float) -> float:
        """The estimate decayed to ``now``; 0.0 while unknown. Without news it sinks towards zero, so a
        member that was slow is tried again before long."""
        age_s = max(now - self._seen_at, 0.0)
        if self._answers < TRIALS or age_s > FORGET_S:
            return 0.0
        return self._peak_s * exp(-age_s / self._tau_s)

    def __repr__(self) -> str:
        return f"PeakEwma({self._peak_s * 1000:.1f} ms at {self._seen_at:.3f}, tau {self._tau_s:.1f} s)"
