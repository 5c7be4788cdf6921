"""How long a backend works on a request: the distributions a scenario may name. Pure; chance is an argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log
from random import Random
from typing import Protocol

Draw = Callable[[], float]
"""Seconds of work of one request."""


class Service(Protocol):
    @property
    def mean_s(self) -> float: ...

    def draw_from(self, chance: Random) -> Draw:
        """Draws from ``chance`` alone, so that a seed fixes every one of them."""


@dataclass(frozen=True, slots=True)
class Constant:
    every_s: float

    @property
    def mean_s(self) -> float:
        return self.every_s

    def draw_from(self, chance: Random) -> Draw:
        return lambda: self.every_s


@dataclass(frozen=True, slots=True)
class Exponential:
    mean_s: float

    def draw_from(self, chance: Random) -> Draw:
        rate, random = 1.0 / self.mean_s, chance.random
        return lambda: -log(1.0 - random()) / rate


@dataclass(frozen=True, slots=True)
class Lognormal:
    """``sigma`` is that of the logarithm; 0.3 is a quick handler, 1 and more a long tail."""

    median_s: float
    sigma: float

    @property
    def mean_s(self) -> float:
        return self.median_s * exp(self.sigma**2 / 2)

    def draw_from(self, chance: Random) -> Draw:
        normal = chance.gauss
        return lambda: self.median_s * exp(normal(0.0, self.sigma))


@dataclass(frozen=True, slots=True)
class Pareto:
    """Heavy tailed: a share ``(least / t) ** alpha`` takes longer than t. ``alpha`` > 1, or there is no mean."""

    least_s: float
    alpha: float

    @property
    def mean_s(self) -> float:
        return self.least_s * self.alpha / (self.alpha - 1.0)

    def draw_from(self, chance: Random) -> Draw:
        power, random = -1.0 / self.alpha, chance.random
        return lambda: self.least_s * (1.0 - random()) ** power


@dataclass(frozen=True, slots=True)
class Bimodal:
    """Most requests take ``usual_s``, a share of them ``rare_s``: cache hits and misses."""

    usual_s: float
    rare_s: float
    rare_share: float

    @property
    def mean_s(self) -> float:
        return self.usual_s + self.rare_share * (self.rare_s - self.usual_s)

    def draw_from(self, chance: Random) -> Draw:
        random = chance.random
        return lambda: self.rare_s if random() < self.rare_share else self.usual_s
