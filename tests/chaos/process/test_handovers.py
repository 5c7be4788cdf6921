"""HUP with more workers or other listeners: a second arbiter takes over on the held sockets, or none does."""

from __future__ import annotations

import os
import signal
import socket

from tests.chaos.process.load import load_on
from tests.chaos.process.running import Run
from tests.support.waiting import wait_for


def test_more_workers_and_a_new_listener_come_by_a_second_arbiter(run: Run) -> None:
    first = run.arbiter()
    with load_on(run.port) as tally:
        run.workers = 3
        run.configure(workers=3, listeners=run.listeners(f"127.0.0.1:{run.spare_port}"))
        run.signal(signal.SIGHUP)
        run.wait_for_event("handover_done")
        assert len(run.wait_for_workers()) == 3
        with load_on(run.spare_port) as second:
            second.wait_for(100)
        run.workers = 2
        run.configure()
        run.signal(signal.SIGHUP)
        run.wait_for_event("handover_done", 2)
        wait_for("the listener's end", lambda: not is_open(run.spare_port))
    assert (tally.refused, tally.failed) == (0, [])
    assert (second.refused, second.failed) == (0, [])
    wait_for("the end of the first arbiter", lambda: first not in run.descendants())


def test_a_listener_that_cannot_be_bound_changes_no_process(run: Run) -> None:
    first = run.arbiter()
    with socket.create_server(("127.0.0.1", 0)) as other, load_on(run.port) as tally:
        run.configure(listeners=run.listeners(f"127.0.0.1:{other.getsockname()[1]}"))
        run.signal(signal.SIGHUP)
        run.wait_for_event("handover_failed")
        tally.wait_for(tally.ok + 100)
    assert (tally.refused, tally.failed) == (0, [])
    assert "listener traffic: cannot bind 127.0.0.1:" in run.log()
    assert run.arbiter() == first
    os.kill(first, signal.SIGKILL)  # it comes back on the sockets that there are
    run.wait_for_event("serving plane=data", 2)
    run.configure()
    run.signal(signal.SIGHUP)
    run.wait_for_event("handover_done plane=data")


def is_open(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
