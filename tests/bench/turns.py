"""How long a worker does nothing else while it follows a change of a large pool: its hub's longest turn, in processor time.

The worker's own ``Runtime`` on a real segment, with picks going on. Changes come as they do from the controller: new
snapshots are published, tables and all, by another process; verdicts are cells. One turn is what lies between two looks at
the sockets; waiting costs no processor time and counts for nothing, nor does what else runs on this machine.

``python -m tests.bench.turns --policy maglev --backends 1000`` prints JSON: milliseconds by kind of change.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent

from lb.config.load import load
from lb.proxy.deadlines import Sweeper
from lb.server.garbage import Collector
from lb.server.runtime import Runtime
from lb.state.layout import DOWN, SH_VERDICT, UP
from lb.state.publish import publish, segment_paths, snapshot_path

POLICIES = {
    "ring": "{name: consistent_hash}",
    "maglev": "{name: maglev}",
    "rendezvous": "{name: consistent_hash, table: rendezvous}",
    "ring, bounded": "{name: consistent_hash, bounded_load: 1.25}",
    "subset of 100": "peak_ewma, subset: 100",
    "peak_ewma": "peak_ewma",
}
CHANGES = 10
"""Of each kind."""
SETTLE_S = 0.3
PATIENCE_S = 30.0


def configuration(directory: Path, policy: str, backends: int) -> str:
    """Of the first so many backends. Nobody listens there: nothing is sent."""
    path = directory / "lb.yaml"
    urls = ", ".join(f"http://127.1.{n // 250}.{1 + n % 250}:80" for n in range(backends))
    text = f'state: {{dir: {directory}/state}}\nlisteners: {{web: {{bind: "127.0.0.1:5000"}}}}\n'
    text += f"pools: {{web: {{health: {{type: none}}, policy: {POLICIES[policy]}, backends: [{urls}]}}}}\n"
    path.write_text(text + "routes: [{pool: web}]\n")
    return str(path)


class Turns:
    """The longest turn of this thread's hub since it was last asked for, in milliseconds of processor time."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._last = time.thread_time()
        self._watcher = gevent.get_hub().loop.check()
        self._watcher.start(self._look)

    def _look(self) -> None:
        now = time.thread_time()
        self._longest = max(self._longest, now - self._last)
        self._last = now

    def longest_ms(self) -> float:
        longest, self._longest = self._longest, 0.0
        return longest * 1e3


def picking(runtime: Runtime) -> Iterator[None]:
    """Beside everything, a pick a millisecond."""
    number = 0
    while True:
        pool = next(iter(runtime.traffic.pools))
        number += 1
        pool.pick(pool.pool.policy, b"%d" % number, ()).end()
        yield gevent.sleep(0.001)


def measure(directory: Path, policy: str, backends: int) -> dict[str, list[float]]:
    """By kind of change the longest turn that each of them cost. RuntimeError if one is not followed."""
    command = [sys.executable, "-m", "tests.bench.turns", "--policy", policy, "--publish", str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as publisher:
        assert publisher.stdin is not None

        def change_to(count: int) -> None:
            print(count, file=publisher.stdin, flush=True)

        change_to(backends)
        state = Path(snapshot_path(str(directory / "state")))
        _wait_for(state.exists)
        runtime = _started(str(state))
        for member in next(iter(runtime.traffic.pools)).members:
            member.shared[SH_VERDICT] = UP
        runtime.segment.bump_health()
        beside = gevent.spawn(lambda: [None for _ in picking(runtime)])
        gevent.sleep(2 * SETTLE_S)
        turns, found = Turns(), dict[str, list[float]](rest=[], health=[], membership=[])
        for number in range(CHANGES):
            turns.longest_ms()
            gevent.sleep(SETTLE_S)
            found["rest"].append(turns.longest_ms())
            victim = next(iter(runtime.traffic.pools)).members[number]
            for verdict in (DOWN, UP):
                victim.shared[SH_VERDICT] = verdict
                runtime.segment.bump_health()
                gevent.sleep(SETTLE_S)
            found["health"].append(turns.longest_ms())
            generation = runtime.traffic.generation
            change_to(backends - 1 + number % 2)
            _wait_for(lambda: runtime.traffic.generation != generation)  # noqa: B023  called at once
            gevent.sleep(SETTLE_S)
            found["membership"].append(turns.longest_ms())
        beside.kill()
        publisher.stdin.close()
    return found


def _started(path: str) -> Runtime:
    """As a worker's: calmed collector, sweeps, and following."""
    collector, hub = Collector(), gevent.get_hub()
    sweeper = Sweeper(hub)
    runtime = Runtime(path, hub, sweeper, collector)
    collector.calm()
    sweeper.start()
    runtime.start()
    return runtime


def _wait_for(claim: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + PATIENCE_S
    while not claim():
        if time.monotonic() > ends_at:
            raise RuntimeError("the change was not followed")
        gevent.sleep(0.005)


def publish_as_told(directory: Path, policy: str) -> None:
    """A number of backends per line."""
    for line in sys.stdin:
        publish(load(configuration(directory, policy, int(line)), {}))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.turns")
    parser.add_argument("--policy", choices=POLICIES, required=True)
    parser.add_argument("--backends", type=int, default=1_000)
    parser.add_argument("--publish", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.publish is not None:
        publish_as_told(options.publish, options.policy)
        return
    with tempfile.TemporaryDirectory(prefix="lb-turns-") as name:
        try:
            print(json.dumps(measure(Path(name), options.policy, options.backends)))
        finally:
            for path in segment_paths(str(Path(name) / "state")):
                Path(path).unlink(
                    missing_ok=True
                )  # it is not in the directory: it would stay until the machine restarts


if __name__ == "__main__":
    main()
