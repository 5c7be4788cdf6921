"""A latency estimate that believes bad news at once and good news slowly. Pure: the clock is an argument.

From Finagle's ``PeakEwma`` load metric (also tower's ``load::peak_ewma``), with two changes. There one
hiccup of a good backend shuts it out for ``tau x ln(hiccup / usual)``, 50 s for 500 ms against 3 ms; here bad
news is doubted, which makes that 5 s, until the backend is slow again when it is tried again. And
there one lucky first answer of a slow backend draws everybody; here three answers make an estimate.
"""

from __future__ import annotations

from math import exp

TAU_S = 10.0
"""Time constant of confirmed bad news: Finagle's and tower's default."""

DOUBT_S = 1.0
"""Time constant of bad news until it is confirmed: until an answer is slow again at least this much later."""

NEWS = 4.0
"""An answer this many times slower than the last estimate is news, not confirmation."""

EASE = 0.9
"""What an answer in less than half the estimated time makes of the time constant, down to ``DOUBT_S``."""

TRIALS = 3
"""Answers before there is an estimate at all."""

FORGET_S = 6 * TAU_S
"""Silence after which there is none any more: it would have sunk to nearly nothing, and everybody
would take the member for the fastest."""

FAILURE_S = 1.0
"""What a failure that was quick counts as: bad enough to look elsewhere first, and doubted like any other news."""

SHORTEST_S = 1e-6
"""Less is not measured; 0.0 stands for unknown."""


class PeakEwma:
    """Seconds to first byte of one member, as one worker sees it. ``now`` is any clock that only goes forward.

    Failures are observed as well: a backend that fails fast must neither look fast nor stay unknown.
    """

    __slots__ = ("_answers", "_believed_at", "_peak_s", "_seen_at", "_tau_s")

    def __init__(self) -> None:
        self._forget()
        self._seen_at = 0.0
        self._believed_at = 0.0

    def observe(self, rtt_s: float, now: float) -> None:
        """An answer took ``rtt_s``. Above the estimate, that is the estimate; below, it sinks towards it."""
        rtt_s = max(rtt_s, SHORTEST_S)
        age_s = max(now - self._seen_at, 0.0)
        if age_s > FORGET_S:
            self._forget()
        keep = exp(-age_s / self._tau_s)
        decayed_s = self._peak_s * keep
        if rtt_s >= decayed_s:
            self._rise(rtt_s, now)
        else:
            self._sink(decayed_s + rtt_s * (1.0 - keep), rtt_s)
        self._answers += 1
        self._seen_at += age_s

    def observe_failure(self, took_s: float, now: float) -> None:
        """An attempt failed on the backend's account: as bad as an answer after ``FAILURE_S`` or longer."""
        self.observe(max(took_s, FAILURE_S), now)

    def _forget(self) -> None:
        self._answers, self._peak_s, self._tau_s = 0, 0.0, DOUBT_S

    def _rise(self, rtt_s: float, now: float) -> None:
        """Answers within one time constant are one piece of news: the queue behind a hiccup does not confirm it."""
        if rtt_s > NEWS * self._peak_s:
            self._tau_s, self._believed_at = DOUBT_S, now
        elif now - self._believed_at >= self._tau_s:
            self._tau_s, self._believed_at = TAU_S, now
        self._peak_s = rtt_s

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
