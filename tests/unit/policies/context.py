"""A pick context that a test owns: seeded chance, given loads, latencies and scores, and a record of what was asked."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import count

from lb.model import Backend, HashOptions, Pool, PrequalOptions
from lb.policies.base import Picker
from lb.policies.probe_pool import ProbePool
from lb.policies.table import create


class FakeContext:
    def __init__(
        self,
        *,
        loads: Sequence[int] | None = None,
        latencies: Sequence[float] | None = None,
        scores: Sequence[float] | None = None,
        seed: int = 1,
    ) -> None:
        self.key = b"192.0.2.1"
        self.random = random.Random(seed).random
        self.loads, self.latencies, self.scores = loads, latencies, scores
        self.probes = ProbePool(PrequalOptions(), lambda: 0.0, lambda: None)
        self.asked: list[int] = []
        """Positions whose load was asked for, in order."""
        self.remembered: dict[bytes, int] = {}
        self._tickets = count()

    def ticket(self) -> int:
        return next(self._tickets)

    def load(self, i: int) -> int:
        self.asked.append(i)
        return self.loads[i] if self.loads is not None else 0

    def inflight(self) -> int:
        return sum(self.loads or ())

    def latency(self, i: int) -> float:
        return self.latencies[i] if self.latencies is not None else 0.0

    def response_time(self, i: int) -> float:
        return self.latency(i)

    def score(self, i: int) -> float:
        return self.scores[i] if self.scores is not None else 1.0

    def recall(self) -> int:
        return self.remembered.get(self.key, -1)

    def remember(self, i: int) -> None:
        self.remembered[self.key] = i


def members_of(weights: Iterable[int]) -> tuple[Backend, ...]:
    return tuple(
        Backend(id=f"b{i}", host="127.0.0.1", port=5001 + i, weight=weight) for i, weight in enumerate(weights)
    )


def picker_of(
    name: str, members: Sequence[Backend], eligible: Sequence[int] | None = None, hash: HashOptions | None = None
) -> Picker:
    positions = range(len(members)) if eligible is None else eligible
    pool = Pool(id="web", backends=tuple(members), hash=hash or HashOptions())
    return create(name, pool).build(members, positions)


def picks(pick: Picker, ctx: FakeContext, times: int) -> list[int]:
    return [pick(ctx) for _ in range(times)]
