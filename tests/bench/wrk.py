"""Runs wrk (the load generator) and reads what it found. Knows nothing of balancers."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

LUA = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk sends. ``script``: ``plain``, ``unique`` or ``upload``; ``core`` None: not pinned."""

    seconds: int = 3
    connections: int = 64
    script: str = "plain"
    core: int | None = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """What wrk saw. Latencies are of completed requests, in microseconds."""

    requests: int
    duration_us: int
    bytes: int
    p50: int
    p90: int
    p99: int
    p999: int
    socket_errors: int
    bad_statuses: int

    @property
    def rps(self) -> float:
        return self.requests * 1e6 / self.duration_us if self.duration_us else 0.0


def run(url: str, load: Load) -> Sample:
    """Blocks for ``load.seconds``. Raises RuntimeError with wrk's own words when it fails."""
    pin = [] if load.core is None else ["taskset", "-c", str(load.core)]
    script = LUA / f"{load.script}.lua"
    command = [*pin, "wrk", "-t1", f"-c{load.connections}", f"-d{load.seconds}s", "-s", str(script), url]
    env = {**os.environ, "LB_BENCH_LUA": str(LUA)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=load.seconds + 60, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("JSON "):
            return Sample(**json.loads(line[5:]))
    raise RuntimeError(f"wrk {url}: {done.stderr.strip() or done.stdout.strip()}")
