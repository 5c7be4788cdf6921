"""The tail under an open loop: 1,000 requests/s over four backends of 8 slots whose work takes an
exponential time of 20 ms in the mean, and 200 ms on one of them. Optional: it takes minutes.

The ideal is that nobody waits for the slow one: p99 = 20 ms · ln 100 = 92, p99.9 = 138.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from typing import NamedTuple

from tests.bench import ports, processes
from tests.bench.outcome import Outcome, Table
from tests.bench.plan import Plan
from tests.bench.systems import SYSTEMS
from tests.bench.systems.base import Running, running

RATE = 1_000
MEANS_MS = (20, 20, 20, 200)
SLOTS = 8


class Subject(NamedTuple):
    system: str
    policy: str


SUBJECTS = (
    Subject("lb", "peak_ewma"),
    Subject("lb", "least_connections"),
    Subject("lb", "power_of_two"),
    Subject("nginx-bare", "least_conn"),
    Subject("nginx-bare", "random two least_conn"),
    Subject("haproxy-bare", "leastconn"),
    Subject("caddy", "least_conn"),
    Subject("traefik", "p2c"),
    Subject("traefik", "leasttime"),
)

Found = dict[str, float]


def run(plan: Plan) -> Outcome:
    chosen = [subject for subject in SUBJECTS if plan.chosen(subject.system)]
    results: dict[Subject, list[Found]] = {subject: [] for subject in chosen}
    with _backends(plan) as backends:
        for number in range(1 if plan.quick else plan.rounds):
            for subject in chosen:
                results[subject].append(_one(plan, subject, backends, number))
    raw = [
        {"system": subject.system, "policy": subject.policy, "rounds": rounds} for subject, rounds in results.items()
    ]
    return Outcome("tail", (_table(results),), {}, raw)


def _one(plan: Plan, subject: Subject, backends: tuple[int, ...], seed: int) -> Found:
    label = f"tail-{seed}-{subject.system}-{subject.policy.replace(' ', '-')}"
    site = replace(plan.site(label), policy=subject.policy, backends=backends)
    with running(SYSTEMS[subject.system], site) as balancer:
        _load(plan, balancer, 2, seed + 100)
        found = _load(plan, balancer, 5 if plan.quick else 15, seed)
    print(f"  {subject.system} {subject.policy}: p99 {found['p99']:.0f} ms", file=sys.stderr, flush=True)
    return found


def _load(plan: Plan, balancer: Running, seconds: int, seed: int) -> Found:
    command = [sys.executable, "-m", "tests.bench.open_loop", "--port", str(balancer.site.port)]
    command += ["--rate", str(RATE), "--seconds", str(seconds), "--seed", str(seed)]
    done = subprocess.run(_pinned(plan, command), capture_output=True, text=True, timeout=seconds + 120, check=True)
    found: Found = json.loads(done.stdout)
    return found


def _pinned(plan: Plan, command: list[str]) -> list[str]:
    return processes.pinned(command, "" if plan.cores.load is None else str(plan.cores.load))


@contextlib.contextmanager
def _backends(plan: Plan) -> Iterator[tuple[int, ...]]:
    found = ports.free(len(MEANS_MS))
    command = [sys.executable, "-m", "tests.bench.slow_backends", "--slots", str(SLOTS)]
    command += ["--ports", ",".join(map(str, found)), "--means-ms", ",".join(map(str, MEANS_MS))]
    process = processes.start(_pinned(plan, command), plan.directory / "slow_backends.log")
    try:
        if not all(ports.wait_for(port, path="/ready") for port in found):
            raise RuntimeError("the slow backends did not start")
        yield tuple(found)
    finally:
        processes.stop(process)


def _table(results: dict[Subject, list[Found]]) -> Table:
    rows = tuple(
        (
            subject.system,
            subject.policy,
            *(f"{median(found[key] for found in rounds):.0f}" for key in ("p50", "p99", "p999")),
            f"{sum(found['errors'] for found in rounds):.0f} of {sum(found['requests'] for found in rounds):,.0f}",
            f"{max(found['late_p999'] for found in rounds):.1f}",
        )
        for subject, rounds in results.items()
    )
    header = ("system", "policy", "p50 ms", "p99 ms", "p99.9 ms", "errors", "generator late p99.9 ms")
    notes = ("ideal: p99 92 ms, p99.9 138 ms",)
    return Table(f"Tail, open loop, {RATE:,} requests/s, one slow backend of four", header, rows, notes)
