"""The test's side of ``tests.support.steady_client``: phases, and what became of the requests in each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

QUIET = "quiet"


@dataclass(frozen=True)
class Phase:
    """``failed``: texts, not all of them if there are many. Milliseconds; ``beside``: p50 and p99 of requests without the
    balancer at the same time."""

    ok: int
    bad: int
    failed: Sequence[str]
    p50: float
    p99: float
    most: float
    beside: tuple[float, float]

    def __str__(self) -> str:
        said = f"{self.ok} ok, {self.bad} failed, p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms, most {self.most:.1f} ms"
        return f"{said} (without the balancer {self.beside[0]:.1f} and {self.beside[1]:.1f})"


class Steady:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self._say(f"phase {name}")
        try:
            yield
        finally:
            self._say(f"phase {QUIET}")

    def report(self) -> dict[str, Phase]:
        """Of all requests that have come to an end."""
        self._say("report")
        assert self._process.stdout is not None
        return {name: _phase(**said) for name, said in json.loads(self._process.stdout.readline()).items()}

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


def _phase(ok: int, bad: int, failed: list[str], ms: list[float], beside_ms: list[float]) -> Phase:
    return Phase(ok, bad, failed, *_quantiles(ms), max(ms, default=0.0), _quantiles(beside_ms))


def _quantiles(ms: list[float]) -> tuple[float, float]:
    ordered = sorted(ms) or [0.0]
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]


@contextmanager
def steady_load(ports: Sequence[int], beside: int, per_second: int, path: str = "/") -> Iterator[Steady]:
    """``beside``: a backend's port."""
    argv = [sys.executable, "-m", "tests.support.steady_client", str(per_second), path, *map(str, (beside, *ports))]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Steady(process)
    finally:
        process.kill()
        process.communicate()
