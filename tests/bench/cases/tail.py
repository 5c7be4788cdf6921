"""The tail under an open loop: 1,000 requests/s over four backends of 8 slots whose work takes an exponential time
of 20 ms in the mean. In one scenario one of them always takes 200 ms, in the other it turns slow for the middle third.

The ideal of the first is that nobody waits for the slow one: p99 = 20 ms * ln 100 = 92, p99.9 = 138. It
takes half an hour. Hash policies are not in it: they send a key where it belongs, whoever is slow.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal, NamedTuple

from tests.bench import ports, processes
from tests.bench.outcome import Outcome, Table, paired_ratios
from tests.bench.plan import Plan
from tests.bench.systems import SYSTEMS
from tests.bench.systems.base import running

RATE = 1_000
BACKENDS = 4
FAST_MS, SLOW_MS = 20, 200
SLOTS = 8
WARM_UP_S = 2
TIMEOUT_S = 10
"""Of a request; one that takes longer is an error, and counts in the percentiles with this time."""

Family = Literal["ours", "round robin", "other"]


class Subject(NamedTuple):
    system: str
    policy: str
    family: Family


JUDGED = Subject("lb", "peak_ewma", "ours")
"""The default of a pool."""
SUBJECTS = (
    JUDGED,
    Subject("lb", "least_response_time", "ours"),
    Subject("lb", "{name: prequal, probe: {path: /ready}}", "ours"),
    Subject("lb", "adaptive", "ours"),
    Subject("lb", "least_connections", "ours"),
    Subject("lb", "power_of_two", "ours"),
    Subject("lb", "random", "ours"),
    Subject("lb", "round_robin", "ours"),
    Subject("nginx-bare", "", "round robin"),
    Subject("nginx-bare", "least_conn", "other"),
    Subject("nginx-bare", "random two least_conn", "other"),
    Subject("haproxy-bare", "roundrobin", "round robin"),
    Subject("haproxy-bare", "leastconn", "other"),
    Subject("caddy", "round_robin", "round robin"),
    Subject("caddy", "least_conn", "other"),
    Subject("traefik", "wrr", "round robin"),
    Subject("traefik", "p2c", "other"),
    Subject("traefik", "leasttime", "other"),
)


@dataclass(frozen=True, slots=True)
class Scenario:
    key: str
    title: str
    seconds: int
    slow_from: float
    """The part of the load at which the last backend turns slow, and at which it is well again."""
    slow_until: float
    with_round_robin: bool
    rounds: int
    deciding: int
    """Rounds more of the two that are compared."""
    note: str = ""


SCENARIOS = (
    Scenario("slow", "one backend of four 10 times slower", 6, 0.0, 1.0, True, 5, 15, "ideal: p99 92 ms, p99.9 138 ms"),
    Scenario("turns", "one backend of four turns 10 times slower for the middle third", 6, 1 / 3, 2 / 3, False, 3, 0),
)

Found = dict[str, float]
Results = Mapping[Subject, list[Found]]


def run(plan: Plan) -> Outcome:
    tables, figures, raw = [], {}, {}
    for scenario in SCENARIOS:
        results = _measure(plan, scenario)
        tables.append(_table(scenario, results))
        _decide(plan, scenario, results)
        figures.update({f"tail_{scenario.key}_{key}": value for key, value in ratios(results).items()})
        raw[scenario.key] = [{**subject._asdict(), "rounds": rounds} for subject, rounds in results.items()]
    return Outcome("tail", tuple(tables), figures, raw)


def _decide(plan: Plan, scenario: Scenario, results: Results) -> None:
    """Our default and the best of the others are closer than single rounds: these two get some more of them."""
    best = _best(results, ("round robin", "other"))
    if JUDGED not in results or best is None:
        return
    first = len(results[JUDGED])
    for number in range(first, first + (0 if plan.quick else scenario.deciding)):
        for subject in (JUDGED, best)[:: -1 if number % 2 else 1]:
            with _backends(plan) as backends:
                results[subject].append(_one(plan, scenario, subject, backends, number))


def _measure(plan: Plan, scenario: Scenario) -> Results:
    """Interleaved: A B C, C B A, A B C."""
    chosen = [
        subject
        for subject in SUBJECTS
        if plan.chosen(subject.system) and (scenario.with_round_robin or "robin" not in subject.policy + subject.family)
    ]
    results: Results = {subject: [] for subject in chosen}
    for number in range(1 if plan.quick else max(scenario.rounds, plan.rounds)):
        for subject in chosen[:: -1 if number % 2 else 1]:
            with _backends(plan) as backends:  # new ones: what somebody left in their queues would be the next one's
                results[subject].append(_one(plan, scenario, subject, backends, number))
    return results


def ratios(results: Results) -> dict[str, list[float]]:
    """Our default's p99 to that of the best of the others, round by round: of those with round robin, and of all. The
    best is who has the lowest median. No ratio where a request of ours failed, or where nobody else was measured."""
    ours = results.get(JUDGED, [])
    if not ours or any(found["errors"] for found in ours):
        return {}
    rivals: dict[str, tuple[Family, ...]] = {"vs_round_robin": ("round robin",), "vs_best": ("round robin", "other")}
    found = {}
    for key, families in rivals.items():
        best = _best(results, families)
        if best is not None:
            theirs = results[best]
            found[key] = paired_ratios(_p99s(ours[: len(theirs)]), _p99s(theirs))
    return found


def _best(results: Results, families: Sequence[Family]) -> Subject | None:
    others = [subject for subject in results if subject.family in families]
    return min(others, key=lambda subject: median(_p99s(results[subject])), default=None)


def _p99s(rounds: Sequence[Found]) -> list[float]:
    return [found["p99"] for found in rounds]


def _one(plan: Plan, scenario: Scenario, subject: Subject, backends: tuple[int, ...], number: int) -> Found:
    name = f"{subject.system}-{re.sub('[^a-z0-9_]+', '-', subject.policy).strip('-') or 'default'}"
    site = replace(plan.site(f"tail-{scenario.key}-{number}-{name}"), policy=subject.policy, backends=backends)
    _take(backends[-1], FAST_MS if scenario.slow_from else SLOW_MS)
    with running(SYSTEMS[subject.system], site):
        _finish(_start(plan, site.port, WARM_UP_S, number + 100))
        load = _start(plan, site.port, 3 if plan.quick else scenario.seconds, number)
        if scenario.slow_from:
            _turn(scenario, backends[-1])
        found = _finish(load)
    print(f"  {scenario.key}: {name}: p99 {found['p99']:.0f} ms", file=sys.stderr, flush=True)
    return found


def _turn(scenario: Scenario, backend: int) -> None:
    began = time.monotonic()
    for at, mean_ms in ((scenario.slow_from, SLOW_MS), (scenario.slow_until, FAST_MS)):
        time.sleep(max(0.0, began + at * scenario.seconds - time.monotonic()))
        _take(backend, mean_ms)


def _take(backend: int, mean_ms: int) -> None:
    """From its next request on the backend's work takes ``mean_ms`` in the mean."""
    if not ports.answers(backend, f"/mean/{mean_ms}"):
        raise RuntimeError("a slow backend does not answer")


def _start(plan: Plan, port: int, seconds: int, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bench.open_loop", "--port", str(port), "--timeout", str(TIMEOUT_S)]
    command += ["--rate", str(RATE), "--seconds", str(seconds), "--seed", str(seed)]
    return subprocess.Popen(_pinned(plan, command), stdout=subprocess.PIPE, text=True)


def _finish(load: subprocess.Popen[str]) -> Found:
    said, _ = load.communicate(timeout=120)
    if load.returncode:
        raise RuntimeError("the load generator failed")
    found: Found = json.loads(said)
    return found


def _pinned(plan: Plan, command: list[str]) -> list[str]:
    return processes.pinned(command, "" if plan.cores.load is None else str(plan.cores.load))


@contextlib.contextmanager
def _backends(plan: Plan) -> Iterator[tuple[int, ...]]:
    found = ports.free(BACKENDS)
    command = [sys.executable, "-m", "tests.bench.slow_backends", "--slots", str(SLOTS)]
    command += ["--ports", ",".join(map(str, found)), "--mean-ms", str(FAST_MS)]
    process = processes.start(_pinned(plan, command), plan.directory / "slow_backends.log")
    try:
        if not all(ports.wait_for(port, path="/ready") for port in found):
            raise RuntimeError("the slow backends did not start")
        yield tuple(found)
    finally:
        processes.stop(process)


def _table(scenario: Scenario, results: Results) -> Table:
    rows = tuple(
        (
            subject.system,
            subject.policy or "(default)",
            *(f"{median(found[key] for found in rounds):.0f}" for key in ("p50", "p99")),
            f"{min(found['p99'] for found in rounds):.0f} - {max(found['p99'] for found in rounds):.0f}",
            f"{median(found['p999'] for found in rounds):.0f}",
            f"{sum(found['errors'] for found in rounds):.0f} of {sum(found['requests'] for found in rounds):,.0f}",
            f"{max(found['late_p999'] for found in rounds):.1f}",
        )
        for subject, rounds in results.items()
    )
    header = ("system", "policy", "p50 ms", "p99 ms", "of rounds", "p99.9 ms", "errors", "generator late p99.9 ms")
    title = f"Tail, open loop, {RATE:,} requests/s, {scenario.title}"
    return Table(title, header, rows, (scenario.note,) if scenario.note else ())
