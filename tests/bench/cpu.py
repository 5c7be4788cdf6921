"""CPU time per request of one process tree under load: the number everything else is a ratio of.

``python -m tests.bench.cpu --target URL --pid PID [--seconds 3] [--connections 64] [--path /]``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench import processes, wrk

Pids = Callable[[], list[int]]


@dataclass(frozen=True, slots=True)
class Measure:
    """One run: what the clients saw, and the CPU seconds each process of the balancer spent on it."""

    sample: wrk.Sample
    cpu_s: processes.CpuByPid

    def cpu_us_per_request(self, pids: Sequence[int] | None = None) -> float:
        """Of ``pids``, or of all processes that were watched."""
        spent = sum(used for pid, used in self.cpu_s.items() if pids is None or pid in pids)
        return spent * 1e6 / max(1, self.sample.requests)


def measure(url: str, pids: Pids, load: wrk.Load) -> Measure:
    """``pids`` is asked before and after, so that processes born under load are seen."""
    before = processes.cpu_by_pid(pids())
    sample = wrk.run(url, load)
    after = processes.cpu_by_pid(pids())
    return Measure(sample, {pid: used - before.get(pid, 0.0) for pid, used in after.items()})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cpu", description="CPU per request of a process tree")
    parser.add_argument("--target", required=True, help="URL of the balancer, without path")
    parser.add_argument("--pid", type=int, required=True, help="its process (children count)")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--path", default="/")
    parser.add_argument("--script", default="plain", choices=("plain", "unique", "upload"))
    parser.add_argument("--core", type=int, default=1, help="core wrk is pinned to")
    options = parser.parse_args(arguments)
    load = wrk.Load(options.seconds, options.connections, options.script, options.core)
    url = options.target.rstrip("/") + options.path
    found = measure(url, lambda: processes.tree(options.pid), load)
    sample = found.sample
    print(
        f"{found.cpu_us_per_request():.1f} us CPU/request  {sample.rps:,.0f} requests/s  p50 {sample.p50 / 1000:.2f} ms"
        f"  p99 {sample.p99 / 1000:.2f} ms  errors {sample.socket_errors}  not 2xx/3xx {sample.bad_statuses}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
