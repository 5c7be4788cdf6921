"""When requests come and who sends them, as one iterator. Pure; chance is an argument."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate, islice
from math import inf, log
from random import Random

from lb.simulate.scenario import Clients, Poisson, Recorded, Scenario

Arrival = tuple[float, bytes]
"""Seconds since the start, and the key of the client."""

_KEPT = 100_000
"""Of more clients most keys would be made for nobody."""

_FIRST_NUMBER = 100_000
"""Numbers have six digits as long as there are at most 900,000 clients."""


def arrivals(scenario: Scenario, when: Random, who: Random) -> Iterator[Arrival]:
    """In order, up to the scenario's end."""
    draw = key_draw(scenario.clients, who)
    if isinstance(scenario.arrivals, Poisson):
        coming = _poisson(scenario.arrivals.rate_per_s, when.random, draw)
    else:
        coming = _recorded(scenario.arrivals, draw)
    return islice(_before(coming, scenario.duration_s or inf), scenario.requests)


def _before(coming: Iterator[Arrival], end_s: float) -> Iterator[Arrival]:
    for arrival in coming:
        if arrival[0] >= end_s:
            return
        yield arrival


def _poisson(rate_per_s: float, random: Callable[[], float], key: Callable[[], bytes]) -> Iterator[Arrival]:
    at_s = 0.0
    while True:
        at_s -= log(1.0 - random()) / rate_per_s
        yield at_s, key()


def _recorded(log_: Recorded, key: Callable[[], bytes]) -> Iterator[Arrival]:
    for at_s, client in zip(log_.times_s, log_.clients, strict=True):
        yield at_s, client or key()


def key_draw(clients: Clients, chance: Random) -> Callable[[], bytes]:
    """Draws the key of one client."""
    count, random = clients.count, chance.random
    if count > _KEPT and not clients.skew:
        return lambda: _key(clients, int(random() * count))
    keys = [_key(clients, number) for number in range(count)]
    if count == 1:
        return lambda: keys[0]
    if not clients.skew:
        return lambda: keys[int(random() * count)]
    ends = list(accumulate((rank + 1) ** -clients.skew for rank in range(count)))
    total, last = ends[-1], count - 1
    return lambda: keys[min(bisect_right(ends, random() * total), last)]


def _key(clients: Clients, number: int) -> bytes:
    if clients.key == "number":
        return b"%d" % (_FIRST_NUMBER + number)
    return b"10.%d.%d.%d" % (number >> 16, number >> 8 & 0xFF, number & 0xFF)
