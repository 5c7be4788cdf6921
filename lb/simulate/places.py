"""Where clients, balancers and backends are, and which clients keep a session: frozen values of a scenario. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from lb.model import Backend
from lb.policies.subset import place_of_name, place_of_number
from lb.structs import Struct


class Balancers(Struct, frozen=True):
    """``count`` machines; number k is in zone k of ``zones`` and in region k of ``regions``, both from the start again."""

    count: int = 1
    zones: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    numbered: bool = True
    """Whether they share a store, which numbers them, and so are spread evenly over the circle of subsets."""

    def zone(self, number: int) -> str:
        return self.zones[number % len(self.zones)] if self.zones else ""

    def region(self, number: int) -> str:
        return self.regions[number % len(self.regions)] if self.regions else ""

    def place(self, number: int) -> float:
        """On the circle of subsets, in [0, 1)."""
        return place_of_number(number) if self.numbered else place_of_name(f"balancer-{number + 1}")


class ClientRegions(Struct, frozen=True):
    """``shares`` of the clients by region, adding up to 1. ``nearest``: for each region all of them, itself first."""

    shares: Mapping[str, float]
    nearest: Mapping[str, Sequence[str]]


class Away(Struct, frozen=True):
    """What an answer takes longer between a balancer and a backend in different regions, or zones of one region."""

    region_s: float = 0.0
    zone_s: float = 0.0

    def seconds(self, region: str, zone: str, backend: Backend) -> float:
        """For a balancer in ``region`` and ``zone``. A backend that is nowhere is near everybody, and so is such a balancer."""
        if region and backend.region and backend.region != region:
            return self.region_s
        return self.zone_s if zone and backend.zone and backend.zone != zone else 0.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """Something of each client, drawn when it first comes and the same from then on: clients come in the same order
    whatever the policy."""

    draw: Callable[[], str]
    _known: dict[bytes, str] = field(default_factory=dict)

    def of(self, client: bytes) -> str:
        found = self._known.get(client)
        if found is None:
            found = self._known[client] = self.draw()
        return found


def regions_drawn(regions: ClientRegions, chance: Random) -> Drawn:
    names, weights = list(regions.shares), list(regions.shares.values())
    return Drawn(lambda: chance.choices(names, weights)[0])
