"""Who serves, read from a real segment whose slots belong to real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lb.model import Config, Snapshot, State
from lb.state.layout import H_CONTROLLER_PID
from lb.state.segment import Segment
from lb.supervisor.readiness import controllers_serving, parent_of, workers_serving

WORKER = """
import sys
from lb.state.segment import Segment
slot = Segment.open(sys.argv[1]).claim_slot()
slot.beat(1, int(sys.argv[2]), int(sys.argv[3]))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    segment = Segment.create(str(tmp_path / "lb.seg"), slots=8, columns=1)
    yield segment
    segment.close()


def snapshot_of(segment: Segment, generation: int) -> Snapshot:
    return Snapshot(generation, Config("lb.yaml", (), (), (), State("/")), segment.path, {})


def worker(segment: Segment, generation: int, ready: int) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", WORKER, segment.path, str(generation), str(ready)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.communicate("")


@pytest.mark.parametrize(("generation", "ready", "counts"), [(3, 1, 1), (4, 1, 1), (2, 1, 0), (3, 2, 0), (3, 0, 0)])
def test_workers_count_that_accept_on_the_generation(
    segment: Segment, generation: int, ready: int, counts: int
) -> None:
    process = worker(segment, generation, ready)
    assert workers_serving(snapshot_of(segment, 3), arbiter=os.getpid()) == counts
    end(process)


def test_workers_of_another_arbiter_and_dead_ones_do_not_count(segment: Segment) -> None:
    process = worker(segment, 3, 1)
    assert workers_serving(snapshot_of(segment, 3), arbiter=os.getppid()) == 0
    process.kill()
    end(process)
    assert workers_serving(snapshot_of(segment, 3), arbiter=os.getpid()) == 0


def test_a_controller_counts_that_beats_under_its_arbiter(segment: Segment) -> None:
    process = worker(segment, 3, 0)
    segment.header[H_CONTROLLER_PID] = process.pid
    assert controllers_serving(snapshot_of(segment, 3), arbiter=os.getpid()) == 1
    assert controllers_serving(snapshot_of(segment, 3), arbiter=1) == 0
    end(process)


def test_without_a_segment_nobody_serves(tmp_path: Path) -> None:
    snapshot = Snapshot(1, Config("lb.yaml", (), (), (), State("/")), str(tmp_path / "gone"), {})
    assert workers_serving(snapshot, arbiter=os.getpid()) == 0
    assert controllers_serving(snapshot, arbiter=os.getpid()) == 0


def test_nobody_is_the_parent_of_no_process() -> None:
    assert parent_of(os.getpid()) == os.getppid()
    assert parent_of(0) == 0
