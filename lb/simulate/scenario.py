"""A scenario as frozen values: what is simulated, without a word on how. No I/O, no pydantic."""

from __future__ import annotations

from typing import Literal

from lb.model import Backend, Pool
from lb.simulate.faults import Antagonists, Fault
from lb.simulate.places import Away, Balancers, ClientRegions
from lb.simulate.service import Service
from lb.structs import Struct, field


class Behaviour(Struct, frozen=True):
    """What a backend is like; those of one group have the same."""

    group: str
    service: Service
    slots: int
    """Requests it works on at the same time."""
    queue: int | None = None
    """Requests that may wait for a slot; one more is answered 503 at once. None: any number."""
    faults: tuple[Fault, ...] = ()
    antagonists: Antagonists | None = None

    @property
    def capacity_per_s(self) -> float:
        """Requests it can answer in the long run while nothing is wrong."""
        return self.slots / self.service.mean_s


class Poisson(Struct, frozen=True):
    rate_per_s: float


class Recorded(Struct, frozen=True):
    """When requests came, in seconds since the first one, and the clients who sent them (empty: not known)."""

    times_s: tuple[float, ...]
    clients: tuple[bytes, ...]


class Clients(Struct, frozen=True):
    """Who asks: ``count`` different keys. ``skew`` 0: all alike; 1: the classic Zipf, the k-th asks 1/k as often."""

    count: int = 1000
    skew: float = 0.0
    key: Literal["address", "number"] = "address"
    sticky: float = 0.0
    """Part of them that keep the cookie of their session."""


class Contender(Struct, frozen=True):
    """A policy that is tried. ``pool`` is the one of the scenario with this policy and its options."""

    label: str
    pool: Pool


class Scenario(Struct, frozen=True):
    """``backends[i]`` behaves like ``behaviours[i]``. With ``Poisson`` at least one of the two ends is set."""

    name: str
    about: str
    seed: int
    backends: tuple[Backend, ...]
    behaviours: tuple[Behaviour, ...]
    contenders: tuple[Contender, ...]
    arrivals: Poisson | Recorded
    duration_s: float | None = None
    requests: int | None = None
    clients: Clients = Clients()
    balancers: Balancers = field(default_factory=Balancers)
    workers: int = 1
    """Per balancer."""
    sync_s: float = 0.1
    """How often a balancer learns what the others have in flight."""
    regions: ClientRegions | None = None
    """None: nobody knows where clients are."""
    away: Away = field(default_factory=Away)

    @property
    def expected_requests(self) -> int:
        """About how many there will be: for a progress bar."""
        if isinstance(self.arrivals, Recorded):
            return min(len(self.arrivals.times_s), self.requests or len(self.arrivals.times_s))
        by_time = int((self.duration_s or 0.0) * self.arrivals.rate_per_s)
        return min(one for one in (self.requests, by_time) if one) if self.requests or by_time else 0
