"""TERM under load with somebody else's socket, as under a systemd socket unit: nothing is lost."""

from __future__ import annotations

import contextlib
import signal
import socket
from pathlib import Path

from tests.chaos.process.load import FEWEST_REQUESTS, load_on
from tests.chaos.process.running import Run
from tests.support.scale import TIMES


def test_under_socket_activation_terms_and_starts_lose_nothing(tmp_path: Path, backends: list[int]) -> None:
    """``lb run`` comes and goes. Two of them, each for half of the times: most of a restart is waiting."""
    runs = [Run(tmp_path / name, backends) for name in ("a", "b")]
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", run.port), backlog=1024)) for run in runs]
        for run, sock in zip(runs, sockets, strict=True):
            stack.callback(run.end)
            run.start([sock], ["traffic"])
        for run in runs:
            run.wait_until_ready()
        tallies = [stack.enter_context(load_on(run.port)) for run in runs]
        for _ in range(TIMES // 2):
            for run in runs:
                run.signal(signal.SIGTERM)
            for run, sock in zip(runs, sockets, strict=True):
                assert run.wait_for_end() == 0
                run.start([sock], ["traffic"])
            for run, tally in zip(runs, tallies, strict=True):
                run.wait_until_ready()
                tally.wait_for(tally.ok + 50)
        for tally in tallies:
            tally.wait_for(FEWEST_REQUESTS // len(tallies))
    assert [(tally.refused, tally.failed) for tally in tallies] == [(0, []), (0, [])]
