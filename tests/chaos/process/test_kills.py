"""Our own processes killed: what dies is back, and only what it was working on is lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.process.load import FRESH_CLIENTS, KEEP_ALIVE_CLIENTS, load_on
from tests.chaos.process.running import Run, is_running
from tests.support.waiting import wait_for

KILLS = 20
CLIENTS = KEEP_ALIVE_CLIENTS + FRESH_CLIENTS
BACK_S = 2.0
SLACK = 3
"""Promises in seconds get three times their time on a machine that runs other things as well."""


def test_killed_workers_lose_only_what_they_were_working_on(run: Run) -> None:
    choose = random.Random(57).choice
    with load_on(run.port) as tally:
        for _ in range(KILLS):
            workers = run.wait_for_workers(BACK_S * SLACK)
            victim = choose(workers)
            os.kill(victim, signal.SIGKILL)
            wait_for("its end", lambda pid=victim: pid not in run.workers_of(run.arbiter()))  # type: ignore[misc]
            tally.wait_for(tally.ok + 50)
        run.wait_for_workers(BACK_S * SLACK)
    assert tally.refused == 0
    assert len(tally.failed) <= KILLS * CLIENTS // 2, tally.failed[:5]
    assert wait_for("no inflight left", lambda: run.inflight() == 0, 5.0)
    assert run.events("died") == 0


def test_killed_masters_are_no_outage(run: Run) -> None:
    with load_on(run.port) as tally:
        for number in (1, 2):
            os.kill(run.arbiter(), signal.SIGKILL)
            run.wait_for_event("died", number)
            run.wait_for_event("serving plane=data", number + 1, BACK_S * SLACK)
            tally.wait_for(tally.ok + 200)
    assert tally.refused == 0
    assert len(tally.failed) <= 2, tally.failed[:5]
    assert tally.slowest_s < BACK_S * SLACK
    wait_for("the end of orphaned workers", lambda: len(run.descendants()) == 2 + 2 + run.workers - 1, 15.0)


def test_a_worker_killed_while_none_can_boot_is_the_only_one_missed(run: Run) -> None:
    """A gunicorn whose new workers cannot boot ends, with those that serve, unless they end in a way it forgives."""
    victim, survivor = run.wait_for_workers()
    with load_on(run.port) as tally, without_snapshot(run.directory / "state"):
        os.kill(victim, signal.SIGKILL)
        wait_for("attempts to boot", lambda: run.log().count("worker cannot start") >= 2)
        tally.wait_for(tally.ok + 100)
        assert survivor in run.workers_of(run.arbiter())
    run.wait_for_workers(BACK_S * SLACK)
    assert tally.refused == 0
    assert len(tally.failed) <= CLIENTS, tally.failed[:5]
    assert run.events("died") == 0


@contextlib.contextmanager
def without_snapshot(state: Path) -> Iterator[None]:
    """Neither the snapshot nor a copy of it is there for as long as the block lasts."""
    away = state.parent / "away"
    away.mkdir()
    for path in list(state.glob("snapshot*")):
        path.rename(away / path.name)
    yield
    for path in list(away.iterdir()):
        path.rename(state / path.name)


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
