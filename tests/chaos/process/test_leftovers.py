"""Workers killed under load leave nothing behind: no file, no shared memory, no lock, nothing counted in flight."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from pathlib import Path

from tests.chaos.process.load import load_on
from tests.chaos.process.running import Run
from tests.support.raw_client import get
from tests.support.waiting import wait_for

KILLS = 4
CLEAN_S = 5.0
SLACK = 3
REQUESTS = 40
IN_FLIGHT = re.compile(
    r"^(?:lb_(?:backend|route)_inflight\{.*\}|load_balancer_active_connections) (\S+)$", re.MULTILINE
)
SERVED = re.compile(r'^lb_backend_requests_total\{.*code="2xx".*\} (\S+)$', re.MULTILINE)
SHARED_MEMORY = Path("/dev/shm")
HEARTBEATS = "wgunicorn-*"
"""What a gunicorn worker tells its arbiter through: a file in shared memory without a name."""


def test_row_57_killed_workers_leave_no_file_no_lock_no_lease_and_nothing_in_flight(idle: Run) -> None:
    web = {"backends": [f"http://127.0.0.1:{port}" for port in idle.backends], "policy": "round_robin"}
    began = time.time()
    idle.configure(pools={"web": web})
    idle.start()
    idle.wait_until_ready()
    idle.wait_for_workers()
    wait_for("a controller", lambda: get(idle.status_port, "/metrics").status == 200)
    before = files(idle)
    killed = killed_under_load(idle)
    wait_for("nothing in flight", lambda: sum(told(idle, IN_FLIGHT)) == 0.0, CLEAN_S * SLACK)
    assert files(idle) == before
    wait_for("no heartbeat's name", lambda: not heartbeats(began), CLEAN_S * SLACK)
    assert locks_of(killed) == []
    served = told(idle, SERVED)
    assert [get(idle.port).status for _ in range(REQUESTS)] == [200] * REQUESTS
    wait_for("all of them to be counted", lambda: sum(told(idle, SERVED)) == sum(served) + REQUESTS)
    one, other = (now - then for now, then in zip(told(idle, SERVED), served, strict=True))
    assert abs(one - other) <= idle.workers, "the order goes on, with one open lease per worker at most"


def killed_under_load(run: Run) -> list[int]:
    killed: list[int] = []
    with load_on(run.port) as tally:
        for _ in range(KILLS):
            victim = run.wait_for_workers(SLACK * 2.0)[0]
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)
            wait_for("its end", lambda: killed[-1] not in run.workers_of(run.arbiter()))
            tally.wait_for(tally.ok + 50)
        run.wait_for_workers(SLACK * 2.0)
    assert tally.refused == 0
    return killed


def files(run: Run) -> set[str]:
    """By name: all in the state directory, the segment and what is beside it, and what the run has open in shared memory."""
    segment = Path(run.snapshot().segment)
    found = {str(path) for path in (run.directory / "state").rglob("*")}
    found |= {str(path) for path in segment.parent.glob(f"*{segment.name}*")}
    for pid in run.descendants():
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                target = os.readlink(descriptor)
                if target.startswith(str(SHARED_MEMORY)) and "wgunicorn-" not in target:
                    found.add(target)
    return found


def heartbeats(since: float) -> list[Path]:
    """Those that still have a name: whoever makes one takes its name away at once."""
    return [path for path in SHARED_MEMORY.glob(HEARTBEATS) if path.stat().st_mtime >= since]


def told(run: Run, what: re.Pattern[str]) -> list[float]:
    """As an operator sees it: nobody but the product itself has cleared up."""
    values = [float(value) for value in what.findall(get(run.status_port, "/metrics").body.decode())]
    assert len(values) >= len(run.backends)
    return values


def locks_of(pids: list[int]) -> list[str]:
    """Locks on files that still count as these processes' (proc(5): the fifth word behind ``->`` and number)."""
    lines = [line.replace("-> ", "") for line in Path("/proc/locks").read_text().splitlines()]
    return [line for line in lines if int(line.split()[4]) in pids]
