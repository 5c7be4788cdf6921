"""Our masters, controller and supervisor killed: what dies is back, and nobody is refused."""

from __future__ import annotations

import os
import signal

from tests.chaos.process.load import load_on
from tests.chaos.process.running import Run, is_running
from tests.support.waiting import wait_for


def test_killed_masters_are_no_outage(run: Run) -> None:
    with load_on(run.port) as tally:
        for number in (1, 2):
            os.kill(run.arbiter(), signal.SIGKILL)
            run.wait_for_event("died", number)
            run.wait_for_event("serving plane=data", number + 1, run.back_s())
            tally.wait_for(tally.ok + 200)
    assert tally.refused == 0
    assert len(tally.failed) <= 2, tally.failed[:5]
    assert tally.slowest_s < run.back_s()
    wait_for("the end of orphaned workers", lambda: len(run.descendants()) == 2 + 2 + run.workers - 1)


def test_a_killed_controller_disturbs_nobody(run: Run) -> None:
    run.wait_for_event("serving plane=control")
    before = run.arbiter()
    with load_on(run.port) as tally:
        for number in (1, 2):
            os.kill(run.arbiter("control"), signal.SIGKILL)
            run.wait_for_event("serving plane=control", number + 1)
            tally.wait_for(tally.ok + 200)
    assert (tally.refused, tally.failed) == (0, [])
    assert run.arbiter() == before


def test_the_supervisor_killed_leaves_its_arbiters_serving_and_a_new_one_says_who_has_the_port(run: Run) -> None:
    holder = run.arbiter()
    arbiters = sorted([holder, run.arbiter("control")])
    orphans = run.descendants()
    generation = run.snapshot().generation
    os.kill(run.pid, signal.SIGKILL)
    run.wait_for_end()
    with load_on(run.port) as tally:
        tally.wait_for(tally.ok + 100)
        run.start()
        assert run.wait_for_end() == 2
    assert (tally.refused, tally.failed) == (0, [])
    assert "Address already in use (held by pid " in run.log()
    assert f"left over from a killed lb run; `kill -TERM {arbiters[0]} {arbiters[1]}` ends it" in run.log()
    assert "Traceback" not in run.log()
    assert run.snapshot().generation == generation, "the workers that were left must not move to the refused start"
    for pid in arbiters:
        os.kill(pid, signal.SIGTERM)
    wait_for("the end of all of them", lambda: not any(is_running(pid) for pid in orphans))
