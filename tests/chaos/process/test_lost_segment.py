"""Row 75: the shared segment of a running balancer is deleted, or cut off in place."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lb.state.segment import Segment, SegmentError
from tests.chaos.process.load import load_on
from tests.chaos.process.running import SLACK, Run, hello_backends
from tests.support.raw_client import get
from tests.support.waiting import wait_for

MOVED_S = 5.0
"""Promised, where it was deleted."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with hello_backends(2) as backends:
        one = Run(tmp_path_factory.mktemp("segment") / "lb", backends)
        try:
            one.start()
            one.wait_until_ready()
            one.wait_for_workers()
            yield one
        finally:
            one.end()


def test_deleted_all_move_to_a_new_one_and_no_request_notices(run: Run) -> None:
    workers, path = run.wait_for_workers(), run.snapshot().segment
    with load_on(run.port) as tally:
        tally.wait_for(200)
        os.unlink(path)
        wait_for("a new one that all workers are in", lambda: _live(path) == set(workers), MOVED_S * SLACK)
        tally.wait_for(tally.ok + 200)
    assert (tally.failed, tally.refused) == ([], 0)
    assert run.wait_for_workers() == workers
    _check_it_is_whole(run)


def test_cut_off_in_place_workers_come_back_on_a_new_one(run: Run) -> None:
    """Who touches what is no longer there is killed by the kernel: that cannot be helped."""
    path = run.snapshot().segment
    os.truncate(path, 100)
    wait_for("workers that serve", lambda: len(_live(path)) >= run.workers and _answers(run), run.back_s())
    assert len(run.wait_for_workers()) == run.workers
    _check_it_is_whole(run)


def _check_it_is_whole(run: Run) -> None:
    """The controller has found it as well, and requests are counted in it."""
    wait_for("health", lambda: get(run.status_port, "/health/ready").status == 200, MOVED_S * SLACK)
    for _ in range(20):
        assert get(run.port).status == 200
    assert run.inflight() == 0
    assert b"lb_backend_requests_total{" in get(run.status_port, "/metrics").body


def _answers(run: Run) -> bool:
    try:
        return get(run.port).status == 200
    except (OSError, AssertionError, ValueError):
        return False


def _live(path: str) -> set[int]:
    """Pids of those who have a slot in the file that stands there now."""
    try:
        segment = Segment.open(path)
    except SegmentError:  # none, or one that is being made
        return set()
    try:
        return {segment.slot_cells(slot)[0] for slot in segment.live_slots()}
    finally:
        segment.close()
