"""Row 73 over two balancers: the machine that probes for all is stopped, another takes its place, and it changes nothing when it goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lb.state.layout import H_CONTROLLER_PID, SH_PROBES_OK
from lb.state.segment import Segment
from tests.chaos.process.load import load_on
from tests.chaos.process.running import SLACK, Run, hello_backends
from tests.support.redis_server import RedisServer, redis_server
from tests.support.waiting import wait_for

NAMES = ("one", "two")
TAKEN_OVER_S = 2.5
WATCHED_S = 2.0
BACKENDS = 2


class Cluster:
    def __init__(self, runs: list[Run], server: RedisServer) -> None:
        self.runs = runs
        self.server = server

    def mark(self) -> tuple[int, str]:
        """Token and machine of whose word the store has; (0, "") for nobody's."""
        said = self.server.client().hget("{lb}:health", "+")
        words = said.split() if said else ["0", "0", ""]
        return int(words[0]), words[2]

    def probes(self, run: Run) -> int:
        snapshot = run.snapshot()
        segment = Segment.open(snapshot.segment)
        try:
            columns = [column for name, column in snapshot.columns.items() if name.startswith("backend:")]
            return sum(segment.shared(column)[SH_PROBES_OK] for column in columns)
        finally:
            segment.close()

    def controller(self, run: Run) -> int:
        segment = Segment.open(run.snapshot().segment)
        try:
            return segment.header[H_CONTROLLER_PID]
        finally:
            segment.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        server = stack.enter_context(redis_server())
        backends = stack.enter_context(hello_backends(BACKENDS))
        runs = []
        for name in NAMES:
            run = Run(tmp_path / name, backends, workers=1)
            stack.callback(run.end)
            urls = [f"http://127.0.0.1:{port}" for port in backends]
            run.configure(
                state={"dir": str(run.directory / "state"), "redis": server.url, "machine": name},
                pools={"web": {"backends": urls, "health": {"interval": "0.2s", "scope": "cluster"}}},
            )
            run.start()
            runs.append(run)
        for run in runs:
            run.wait_until_ready()
            run.wait_for_workers()
        yield Cluster(runs, server)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_one_that_was_stopped_is_replaced_and_changes_nothing_when_it_goes_on(cluster: Cluster) -> None:
    wait_for("one that probes for all", lambda: cluster.mark()[1] in NAMES)
    token, machine = cluster.mark()
    holder, other = cluster.runs if machine == NAMES[0] else reversed(cluster.runs)
    other_name = NAMES[cluster.runs.index(other)]
    before = cluster.probes(other)
    time.sleep(1.0)
    assert cluster.probes(other) <= before + BACKENDS, "it lets the other one probe"
    with load_on(holder.port) as tally:
        with stopped(cluster.controller(holder)):
            wait_for("another", lambda: cluster.mark()[1] == other_name, TAKEN_OVER_S * SLACK)
            later, probed = cluster.mark()[0], cluster.probes(other)
            wait_for("its probes", lambda: cluster.probes(other) > probed + BACKENDS)
        marks = set()
        until = time.monotonic() + WATCHED_S
        while time.monotonic() < until:
            marks.add(cluster.mark())
            time.sleep(0.005)
    assert later > token and marks == {(later, other_name)}, marks
    assert (tally.failed, tally.refused) == ([], 0)
