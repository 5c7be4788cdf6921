"""Row 63: ``lb run`` itself killed under load, twice, while systemd's socket unit holds the traffic socket."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.process.load import Tally, load_on
from tests.chaos.process.running import Run, is_running
from tests.support.waiting import wait_for

KILLS = 2
SERVED = 100


@pytest.fixture
def unit(tmp_path: Path, backends: list[int]) -> Iterator[tuple[Run, socket.socket]]:
    """A run, and the socket that somebody else keeps for it."""
    run = Run(tmp_path / "run", backends)
    with socket.create_server(("127.0.0.1", run.port), backlog=1024) as sock:
        yield run, sock
        run.end()


def test_row_63_lb_run_killed_twice_under_load_refuses_nobody(unit: tuple[Run, socket.socket]) -> None:
    """What it leaves serves on. Then, as systemd does: TERM to all that is left, and once that is over a new start."""
    run, sock = unit
    started(run, sock)
    with load_on(run.port) as tally:
        for _ in range(KILLS):
            left = run.descendants()
            os.kill(run.pid, signal.SIGKILL)
            run.wait_for_end()
            served_on(tally)
            for pid in left:
                os.kill(pid, signal.SIGTERM)
            wait_for("the end of what was left", lambda left=left: not any(map(is_running, left)))  # type: ignore[misc]
            started(run, sock)
            served_on(tally)
    assert (tally.refused, tally.failed) == (0, [])
    assert "Traceback" not in run.log()


def started(run: Run, sock: socket.socket) -> None:
    run.start([sock], ["traffic"])
    run.wait_until_ready()


def served_on(tally: Tally) -> None:
    tally.wait_for(tally.ok + SERVED)
