from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lb.metrics.family import Value
from lb.metrics.processes import Place, ProcessMeter, own_place, parent_of, starters
from lb.state.process import RUN_PID

BUSY = "sum(range(2_000_000)); print(flush=True); import time; time.sleep(60)"
PLACE: Place = ("worker", "0")


@contextmanager
def process() -> Iterator[int]:
    """One that has used some CPU time and lives until the end of the block."""
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child.pid
        child.send_signal(signal.SIGKILL)


def read(meter: ProcessMeter, places: dict[Place, int]) -> dict[str, dict[tuple[str, ...], Value]]:
    return {family.name: dict(family.series) for family in meter.families(places)}


def test_our_own_numbers() -> None:
    seen = read(ProcessMeter(), own_place())
    place = ("controller", "")
    assert 1 << 20 < seen["lb_process_resident_memory_bytes"][place] < 1 << 32
    assert seen["lb_process_open_fds"][place] >= 3
    assert seen["lb_process_cpu_seconds_total"][place] > 0


def test_cpu_seconds_of_a_slot_go_on_over_its_workers() -> None:
    meter = ProcessMeter()
    with process() as pid:
        first = read(meter, {PLACE: pid})["lb_process_cpu_seconds_total"][PLACE]
    between = read(meter, {PLACE: pid})
    assert between["lb_process_cpu_seconds_total"][PLACE] == first
    assert PLACE not in between["lb_process_resident_memory_bytes"]
    with process() as pid:
        second = read(meter, {PLACE: pid})["lb_process_cpu_seconds_total"][PLACE]
    assert second > first > 0


def test_a_process_that_is_gone_is_no_error() -> None:
    with process() as pid:
        assert parent_of([pid]) == os.getpid()
    assert parent_of([pid]) is None
    assert read(ProcessMeter(), {PLACE: pid})["lb_process_open_fds"] == {}


def test_a_supervisor_is_the_one_that_started_our_gunicorn() -> None:
    arbiter, supervisor = os.getppid(), parent_of([os.getppid()])
    both = {("controller_arbiter", ""): arbiter, ("supervisor", ""): supervisor}
    assert starters({RUN_PID: str(supervisor)}) == both
    by_hand = {("controller_arbiter", ""): arbiter}
    assert starters({}) == by_hand
    assert starters({RUN_PID: "1000000000"}) == by_hand, "it is gone"
