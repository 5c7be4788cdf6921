"""USR2 under load: every process is replaced, nothing is lost, and no signal either."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.chaos.process.load import FEWEST_REQUESTS, load_on
from tests.chaos.process.running import Run
from tests.support.scale import TIMES
from tests.support.waiting import wait_for


def test_upgrades_replace_every_process_and_lose_nothing(run: Run) -> None:
    with load_on(run.port) as tally:
        run.signal(signal.SIGUSR2)
        run.wait_for_event("handover_done", 2)
        fds = len(os.listdir(f"/proc/{run.pid}/fd"))
        for number in range(2, TIMES + 1):
            before = run.arbiter(), run.arbiter("control")
            run.signal(signal.SIGUSR2)
            run.wait_for_event("handover_done", 2 * number)
            assert run.arbiter() != before[0]
            assert run.arbiter("control") != before[1]
        tally.wait_for(FEWEST_REQUESTS)
    assert (tally.refused, tally.failed) == (0, [])
    assert run.events("upgraded") == TIMES
    assert len(os.listdir(f"/proc/{run.pid}/fd")) == fds
    wait_for("the end of all earlier processes", lambda: len(run.descendants()) == 2 + 1 + run.workers)
    wait_for("no zombies", lambda: not zombies_of(run.pid))


def test_signals_that_come_during_an_upgrade_are_not_lost(run: Run) -> None:
    run.signal(signal.SIGUSR2)
    for _ in range(20):
        run.signal(signal.SIGHUP)
        time.sleep(0.03)  # spread over the life of the publisher, the rehearsal and the exec
    run.signal(signal.SIGUSR2)
    run.wait_for_event("upgraded", 2)
    run.signal(signal.SIGTERM)
    assert run.wait_for_end() == 0
    assert run.descendants() == []


def zombies_of(pid: int) -> list[str]:
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        stat = Path(f"/proc/{child}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            found.append(child)
    return found
