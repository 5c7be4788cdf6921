"""What goes wrong with a backend, and when. Pure: the time is an argument, any time may be asked for.

Faults happen at times that a scenario names; an antagonist (a neighbour on the same machine that takes the
processor now and then) comes and goes at random, by a seed of its own, so every policy meets the same ones.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, inf
from random import Random


@dataclass(frozen=True, slots=True)
class Fault:
    """From ``at_s`` on, for ``lasts_s``, and again every ``every_s`` (infinite: once)."""

    at_s: float
    lasts_s: float = inf
    every_s: float = inf
    slow: float = 1.0
    """Factor on the time of every request that is begun meanwhile."""
    failing: float = 0.0
    """Share of the requests that are answered 503 at once."""
    is_down: bool = False
    """Connections are refused, and what was in work is lost."""

    def began(self, t: float) -> float:
        """The latest beginning at or before ``t``; -inf if there was none."""
        if t < self.at_s:
            return -inf
        return self.at_s if self.every_s == inf else self.at_s + floor((t - self.at_s) / self.every_s) * self.every_s

    def is_on(self, t: float) -> bool:
        return t < self.began(t) + self.lasts_s

    def next_beginning(self, t: float) -> float:
        """The first one after ``t``."""
        return self.at_s if t < self.at_s else self.began(t) + self.every_s

    def last_end(self, t: float) -> float:
        """The latest end at or before ``t``; 0.0 if there was none."""
        end = self.began(t) + self.lasts_s
        return max(end if end <= t else end - self.every_s, 0.0)


@dataclass(frozen=True, slots=True)
class Antagonists:
    """Stays ``lasts_s`` and comes ``every_s``, both on average; exponential, each backend its own."""

    slow: float
    lasts_s: float
    every_s: float


class Antagonist:
    """One backend's, with its comings and goings drawn as far as somebody asked."""

    def __init__(self, kind: Antagonists, chance: Random) -> None:
        self._slow = kind.slow
        self._chance = chance
        self._stays = (1.0 / max(kind.every_s - kind.lasts_s, 1e-9), 1.0 / kind.lasts_s)
        self._edges = [0.0]
        """It is there from each odd edge to the next one. It may be there from the first moment."""
        if chance.random() < kind.lasts_s / kind.every_s:
            self._edges.append(0.0)

    def slow(self, t: float) -> float:
        edges = self._edges
        while edges[-1] <= t:
            edges.append(edges[-1] + self._chance.expovariate(self._stays[1 - len(edges) % 2]))
        return 1.0 if bisect_right(edges, t) % 2 else self._slow


class Troubles:
    """All of one backend's."""

    def __init__(self, faults: Sequence[Fault], antagonist: Antagonist | None) -> None:
        self._slowing = [fault for fault in faults if fault.slow != 1.0]
        self._failing = [fault for fault in faults if fault.failing]
        self._downs = [fault for fault in faults if fault.is_down]
        self._antagonist = antagonist

    @property
    def goes_down(self) -> bool:
        return bool(self._downs)

    def is_down(self, t: float) -> bool:
        return any(fault.is_on(t) for fault in self._downs)

    def next_down(self, t: float) -> float:
        return min((fault.next_beginning(t) for fault in self._downs), default=inf)

    def up_since(self, t: float) -> float:
        """When it was last started, given that it is up."""
        return max((fault.last_end(t) for fault in self._downs), default=0.0)

    def slow(self, t: float) -> float:
        factor = self._antagonist.slow(t) if self._antagonist is not None else 1.0
        for fault in self._slowing:
            if fault.is_on(t):
                factor *= fault.slow
        return factor

    def failing(self, t: float) -> float:
        return max((fault.failing for fault in self._failing if fault.is_on(t)), default=0.0)
