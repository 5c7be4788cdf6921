"""What one run of the bench measures, on which cores, in front of which origin."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench import ports
from tests.bench.systems import SYSTEMS
from tests.bench.systems.base import Running, Site, System, running


@dataclass(frozen=True, slots=True)
class Cores:
    """The balancer has ``balancer`` for itself; wrk and the origin have the others (one, on a small machine)."""

    balancer: str
    load: int | None
    origin: int | None
    every: str

    @classmethod
    def of_this_machine(cls) -> Cores:
        usable = sorted(os.sched_getaffinity(0))
        every = ",".join(str(core) for core in usable)
        if len(usable) == 1:
            return cls(every, None, None, every)
        return cls(str(usable[0]), usable[1], usable[2 % len(usable) or 1], every)


@dataclass(frozen=True, slots=True)
class Plan:
    """``systems`` are those that are installed and asked for, in the order of the table."""

    directory: Path
    backends: tuple[int, ...]
    systems: tuple[System, ...]
    cores: Cores
    rounds: int
    seconds: int
    quick: bool

    def chosen(self, *names: str) -> list[System]:
        """Those of ``names`` that this run has."""
        return [system for system in self.systems if system.name in names]

    @property
    def balancers(self) -> list[System]:
        """All but our WSGI path, which has a case of its own."""
        return [system for system in self.systems if system is not SYSTEMS["lb-wsgi"]]

    def site(self, label: str) -> Site:
        """A fresh place for one worker on the balancer's core; ``label`` is unique within the run."""
        return Site(self.directory / label, ports.free(1)[0], self.backends, self.cores.balancer)

    @contextlib.contextmanager
    def all_running(self, systems: list[System], label: str) -> Iterator[list[Running]]:
        """Every one of ``systems`` at once, each pinned to the balancer's core."""
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(running(system, self.site(f"{label}-{system.name}"))) for system in systems]
