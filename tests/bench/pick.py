"""What one ``pick`` costs: microseconds per policy at 3, 100, 1,000 and 10,000 members. Prints; never fails on time.

    python -m tests.bench.pick [--json]

The context reads what a worker's does: inflight as a sum over slots of shared cells, latency from a decayed
estimate, the score computed from polled cells, each behind one Python call. Weights are 1 to 5, so the
weighted code is measured; ``even`` rows have weight 1 everywhere. Best of several rounds, because
other work on the machine only ever adds.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator

from lb.model import AdaptiveOptions, Backend, HashOptions, Pool, PrequalOptions
from lb.policies.base import Picker
from lb.policies.latency import PeakEwma
from lb.policies.probe_pool import ProbePool
from lb.policies.score import score
from lb.policies.table import POLICIES, create
from lb.policies.tables import build_table
from lb.state.clients import Clients, private_table

SIZES = (3, 100, 1_000, 10_000)
SLOTS = 16
KEYS = [f"203.0.{n >> 8}.{n & 255}".encode() for n in range(5_000)]
"""One pick each: hash policies take longer for some keys than for others."""

ROUNDS = 7

HASHES = {
    "rendezvous": HashOptions(table="rendezvous"),
    "ring, bounded": HashOptions(table="ring", bounded_load=1.25),
    "maglev, bounded": HashOptions(table="maglev", bounded_load=1.25),
}
"""``consistent_hash`` with options; the other tables have names of their own among the policies."""


class BenchContext:
    """As dear as the context of a worker with 16 slots, minus the segment's file."""

    def __init__(self, count: int, seed: int = 1) -> None:
        chance = random.Random(seed)
        self.key = KEYS[0]
        self.random = chance.random
        self.probes = ProbePool(
            PrequalOptions(max_age_s=1e9, per_request=1e-9, remove=0.0), time.monotonic, lambda: None
        )
        self._tickets = iter(range(1 << 62))
        self._inflight = memoryview(bytearray(8 * SLOTS * count)).cast("q")
        self._estimates = [PeakEwma() for _ in range(count)]
        for i in range(count):
            self._inflight[i * SLOTS] = chance.randrange(20)
            for _ in range(3):
                self._estimates[i].observe(chance.uniform(0.01, 0.1), 0.0)
        self._sums = memoryview(bytearray(8 * SLOTS)).cast("q")
        self._sums[0] = sum(self._inflight)
        self._means = [chance.uniform(0.01, 0.1) for _ in range(count)]
        self._options = AdaptiveOptions()
        self._clients = Clients("web", [f"b{i}" for i in range(count)], 1800.0, private_table)
        self._cpu_percent = [chance.uniform(0.0, 100.0) for _ in range(count)]

    def ticket(self) -> int:
        return next(self._tickets)

    def load(self, i: int) -> int:
        start = i * SLOTS
        return sum(self._inflight[start : start + SLOTS])

    def inflight(self) -> int:
        return sum(self._sums)

    def latency(self, i: int) -> float:
        return self._estimates[i].value(0.5)

    def hear(self, pick: Picker) -> None:
        """Answers to probes, as many as a worker keeps; they are never used up."""
        pick(self)
        for i in range(min(len(self._means), PrequalOptions().pool_size)):
            self.probes.add(i, None, self._means[i], self.load(i))

    def response_time(self, i: int) -> float:
        return self._means[i]

    def score(self, i: int) -> float:
        return score(self._options, self._cpu_percent[i], 40.0, self.load(i), 0.05)

    def recall(self) -> int:
        return self._clients.recall(self.key)

    def remember(self, i: int) -> None:
        self._clients.remember(self.key, i)


def members(count: int, *, even: bool) -> tuple[Backend, ...]:
    return tuple(
        Backend(id=f"b{i}", host="127.0.0.1", port=1024 + i, weight=1 if even else 1 + i % 5) for i in range(count)
    )


def pick_us(pick: Picker, ctx: BenchContext) -> float:
    """Microseconds of processor time per pick, the loop around it included (some 0.02)."""
    best = float("inf")
    ctx.hear(pick)
    for _ in range(ROUNDS):
        started = time.process_time()
        for ctx.key in KEYS:
            pick(ctx)
        best = min(best, time.process_time() - started)
    return best / len(KEYS) * 1e6


def measure() -> Iterator[dict[str, object]]:
    kinds = [(name, name, HashOptions()) for name in POLICIES]
    kinds += [(label, "consistent_hash", options) for label, options in HASHES.items()]
    for label, name, options in kinds:
        for count in SIZES:
            for even in (True, False):
                backends = members(count, even=even)
                policy = create(name, Pool(id="bench", backends=backends, hash=options))
                build_table.cache_clear()
                started = time.process_time()
                pick = policy.build(backends, range(count))
                build_ms = (time.process_time() - started) * 1e3
                row = {"policy": label, "members": count, "weights": "even" if even else "1-5"}
                yield {
                    **row,
                    "pick_us": round(pick_us(pick, BenchContext(count)), 3),
                    "build_ms": round(build_ms, 2),
                }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON array instead of a table")
    rows = measure()
    if parser.parse_args().json:
        print(json.dumps(list(rows), indent=1))
        return
    print(f"{'policy':22}{'members':>8}{'weights':>9}{'us/pick':>9}{'ms/build':>10}")
    for row in rows:
        print(
            f"{row['policy']:22}{row['members']:>8}{row['weights']:>9}{row['pick_us']:>9.2f}{row['build_ms']:>10.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
