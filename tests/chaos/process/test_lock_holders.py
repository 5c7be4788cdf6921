"""A worker killed where it holds the lock that all workers share: the others go on as if nothing had been."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from lb.config import snapshot as snapshot_file
from lb.model import Snapshot
from lb.state.locks import column_byte
from lb.state.segment import Segment
from lb.supervisor.readiness import workers_serving
from tests.chaos.process.load import FRESH_CLIENTS, KEEP_ALIVE_CLIENTS, Tally, load_on
from tests.chaos.process.running import SLACK
from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.waiting import wait_for

WORKERS, KILLS = 2, 2
DIE = "die"
"""What the settings module looks for."""
PROGRESS_S = 1.0
"""Promised: nobody waits longer for a dead holder."""
AT_A_TIME = KEEP_ALIVE_CLIENTS + FRESH_CLIENTS
REQUESTS = 50


@pytest.fixture
def balancer(backends: list[int]) -> Iterator[Balancer]:
    config = {**simple_config(backends, policy="round_robin"), "workers": WORKERS}
    with running_balancer(config, settings="tests.support.settings.dying_in_a_lock") as running:
        wait_for("all workers", lambda: serving(running) == WORKERS)
        yield running


def test_row_58_workers_killed_with_a_lock_in_hand_stop_nobody(balancer: Balancer) -> None:
    with load_on(balancer.port) as tally:
        for _ in range(KILLS):
            (balancer.state_dir / DIE).touch()
            wait_for("its end", (balancer.state_dir / "died").exists)
            (balancer.state_dir / "died").unlink()
            assert progress_s(tally) < SLACK * PROGRESS_S
            wait_for("another in its place", lambda: serving(balancer) == WORKERS)
    assert tally.refused == 0
    assert len(tally.failed) <= KILLS * AT_A_TIME
    assert tally.slowest_s < SLACK * PROGRESS_S
    assert is_free(balancer)


def progress_s(tally: Tally) -> float:
    """How long the next answers take."""
    began = time.monotonic()
    tally.wait_for(tally.ok + REQUESTS)
    return time.monotonic() - began


def serving(balancer: Balancer) -> int:
    """Workers that live and serve."""
    return workers_serving(snapshot_of(balancer), balancer.pid)


def snapshot_of(balancer: Balancer) -> Snapshot:
    return snapshot_file.read(str(balancer.state_dir / "snapshot.json"))


def is_free(balancer: Balancer) -> bool:
    """Whether we get the lock that they died with."""
    snapshot = snapshot_of(balancer)
    segment = Segment.open(snapshot.segment)
    try:
        columns = [column for name, column in snapshot.columns.items() if name.startswith(("pool:", "algo:"))]
        return all(segment.try_lock(column_byte(column)) for column in columns)
    finally:
        segment.close()
