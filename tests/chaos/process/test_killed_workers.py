"""Workers killed: they are back, and only what they were working on is lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.process.load import FRESH_CLIENTS, KEEP_ALIVE_CLIENTS, load_on
from tests.chaos.process.running import SLACK, Run
from tests.support.waiting import wait_for

KILLS = 20
CLIENTS = KEEP_ALIVE_CLIENTS + FRESH_CLIENTS


def test_killed_workers_lose_only_what_they_were_working_on(run: Run) -> None:
    choose = random.Random(57).choice
    with load_on(run.port) as tally:
        for _ in range(KILLS):
            workers = run.wait_for_workers(run.back_s())
            victim = choose(workers)
            os.kill(victim, signal.SIGKILL)
            wait_for("its end", lambda pid=victim: pid not in run.workers_of(run.arbiter()))  # type: ignore[misc]
            tally.wait_for(tally.ok + 50)
        run.wait_for_workers(run.back_s())
    assert tally.refused == 0
    assert len(tally.failed) <= KILLS * CLIENTS // 2, tally.failed[:5]
    assert wait_for("no inflight left", lambda: run.inflight() == 0, 5.0 * SLACK)
    assert run.events("died") == 0


def test_a_worker_killed_while_none_can_boot_is_the_only_one_missed(run: Run) -> None:
    """A gunicorn whose new workers cannot boot ends, with those that serve, unless they end in a way it forgives."""
    victim, survivor = run.wait_for_workers()
    with load_on(run.port) as tally, without_snapshot(run.directory / "state"):
        os.kill(victim, signal.SIGKILL)
        wait_for("attempts to boot", lambda: run.log().count("worker cannot start") >= 2)
        tally.wait_for(tally.ok + 100)
        assert survivor in run.workers_of(run.arbiter())
    run.wait_for_workers(run.back_s())
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
