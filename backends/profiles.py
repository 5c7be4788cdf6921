"""The six demo backends as values: who they are, where they listen, how much they should get."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """One demo backend. ``weight`` and ``region`` are what a balancer's configuration says of it."""

    number: int
    weight: int
    region: str

    @property
    def name(self) -> str:
        return f"backend-{self.number}"

    @property
    def port(self) -> int:
        return 5000 + self.number


PROFILES: dict[int, Profile] = {
    profile.number: profile
    for profile in (
        Profile(1, weight=2, region="APAC"),
        Profile(2, weight=3, region="EU"),
        Profile(3, weight=1, region="US"),
        Profile(4, weight=3, region="APAC"),
        Profile(5, weight=4, region="EU"),
        Profile(6, weight=2, region="US"),
    )
}
