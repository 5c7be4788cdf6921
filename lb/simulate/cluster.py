"""Everything that takes part in a simulation, made from a scenario: backends, machines, workers, loops' state."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from lb.model import Pool
from lb.policies.groups import Standing
from lb.policies.table import deciding
from lb.simulate.agenda import Agenda
from lb.simulate.backend import SimulatedBackend
from lb.simulate.balancer import Machine, Worker
from lb.simulate.choice import Choice
from lb.simulate.faults import Antagonist
from lb.simulate.load_reports import LoadReports
from lb.simulate.probes import Probes
from lb.simulate.probing import VirtualProber
from lb.simulate.scenario import Scenario
from lb.simulate.self_report import SelfReport


@dataclass(frozen=True, slots=True)
class Cluster:
    backends: list[SimulatedBackend]
    machines: list[Machine]
    workers: list[Worker]
    """Of all machines."""
    probes: Probes
    reports: LoadReports
    self_reports: list[SelfReport]
    """By backend; empty where nobody probes for them."""
    by_region: dict[str, list[Worker]]
    """Workers of the machines in each region that has some; its clients come to these."""


def stream(scenario: Scenario, purpose: str) -> Random:
    """Chance for one purpose. Apart from each other, so that a policy which draws more does not change what is
    asked of it. Text seeds a Random alike in every process."""
    return Random(f"{scenario.seed}/{purpose}")


def assemble(scenario: Scenario, pool: Pool, clock: Agenda) -> Cluster:
    """``pool``: the scenario's, with the policy that is tried."""
    backends = _backends(scenario)
    probes = Probes(pool.health, backends)
    reports = LoadReports(pool.adaptive, backends, scenario.behaviours)
    machines = _machines(scenario, pool, probes)
    picks = stream(scenario, "picks").random
    self_reports = [SelfReport() for _ in backends] if deciding(pool.policy, pool) == "prequal" else []
    nearest = scenario.regions.nearest if scenario.regions is not None else {}
    chance = stream(scenario, "probes").random

    def worker_of(machine: Machine) -> Worker:
        prober = VirtualProber(clock, backends, self_reports, chance)
        choice = Choice(pool, nearest)
        worker = Worker(machine, pool, scenario.workers, clock, picks, reports, prober.start, choice)
        prober.pool, prober.load = worker.probes, worker.load
        return worker

    workers = [worker_of(machine) for machine in machines for _ in range(scenario.workers)]
    by_region: dict[str, list[Worker]] = {}
    for worker in workers:
        if worker.machine.region:
            by_region.setdefault(worker.machine.region, []).append(worker)
    return Cluster(backends, machines, workers, probes, reports, self_reports, by_region)


def _backends(scenario: Scenario) -> list[SimulatedBackend]:
    work = stream(scenario, "work")
    made = []
    for backend, behaviour in zip(scenario.backends, scenario.behaviours, strict=True):
        kind = behaviour.antagonists
        antagonist = Antagonist(kind, stream(scenario, f"antagonist/{backend.id}")) if kind is not None else None
        made.append(SimulatedBackend(behaviour, work, antagonist))
    return made


def _machines(scenario: Scenario, pool: Pool, probes: Probes) -> list[Machine]:
    """Of several machines, each begins its round robin order anywhere."""
    chance = stream(scenario, "tickets")
    first = [chance.randrange(len(scenario.behaviours)) for _ in range(scenario.balancers.count)]
    return [
        _machine(scenario, pool, probes, number, ticket if len(first) > 1 else 0) for number, ticket in enumerate(first)
    ]


def _machine(scenario: Scenario, pool: Pool, probes: Probes, number: int, first_ticket: int) -> Machine:
    balancers = scenario.balancers
    region, zone, place = balancers.region(number), balancers.zone(number), balancers.place(number)
    away_s = tuple(scenario.away.seconds(region, zone, backend) for backend in scenario.backends)
    standing = Standing(zone, lambda: place)
    return Machine(pool, probes.verdicts, first_ticket, standing, region, away_s if any(away_s) else ())
