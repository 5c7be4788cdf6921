"""Plain ``gunicorn`` without our supervisor: its own HUP and USR2 lose nothing either."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lb.config import snapshot as snapshot_file
from lb.state.layout import READY, SLOT_PID, SLOT_READY
from lb.supervisor.readiness import opened, parent_of
from tests.chaos.process.load import BODY, FRESH_CLIENTS, KEEP_ALIVE_CLIENTS, load_on
from tests.chaos.process.running import BACK_S, SLACK, is_running
from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.raw_client import RawClient, request
from tests.support.scale import TIMES
from tests.support.waiting import wait_for

HUPS = max(4, TIMES // 5)
UPGRADES = max(2, TIMES // 10)
GRACEFUL_S = 2.0
GUNICORN = Path(sys.executable).with_name("gunicorn")
"""Not ``python -m gunicorn``: that re-executes with a search path on which ``http`` is gunicorn's."""
WORKERS = 2


@pytest.fixture
def balancer(backends: list[int]) -> Iterator[Balancer]:
    config = {**simple_config(backends), "workers": WORKERS, "graceful_timeout": "10s"}
    with running_balancer(config, gunicorn=(str(GUNICORN),), is_published=False) as running:
        wait_for("all workers", lambda: len(children_of(running.pid)) == WORKERS)
        yield running
        end_group(running.pid)


def end_group(group: int) -> None:
    """Later arbiters are of the first one's group, and nobody's children."""
    members = [int(one) for one in os.listdir("/proc") if one.isdigit() and group_of(int(one)) == group]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGQUIT)
    wait_for("the end of all of them", lambda: not any(is_running(pid) for pid in members))


def group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def children_of(pid: int) -> set[int]:
    return {int(one) for one in os.listdir("/proc") if one.isdigit() and parent_of(int(one)) == pid}


def test_hup_replaces_the_workers_and_loses_nothing(balancer: Balancer) -> None:
    with load_on(balancer.port) as tally:
        for _ in range(HUPS):
            before = children_of(balancer.pid)
            os.kill(balancer.pid, signal.SIGHUP)
            wait_for("new workers alone", are_others(balancer.pid, before))
            tally.wait_for(tally.ok + 100)
    assert (tally.refused, tally.failed) == (0, [])


def test_row_60_a_worker_killed_in_a_reload_costs_what_it_worked_on_and_is_back_after_graceful_timeout(
    backends: list[int],
) -> None:
    """In a reload gunicorn waits for the workers of before to end, at most so long, and replaces nobody meanwhile."""
    config = {**simple_config(backends), "workers": WORKERS, "graceful_timeout": f"{GRACEFUL_S:g}s"}
    with (
        running_balancer(config, gunicorn=(str(GUNICORN),), is_published=False) as running,
        RawClient(running.port) as idle,
    ):
        wait_for("all workers", lambda: is_complete(running))
        idle.send(request())
        idle.receive_until(BODY)  # whose worker waits for its next request, and the arbiter for that worker
        before = children_of(running.pid)
        with load_on(running.port) as tally:
            os.kill(running.pid, signal.SIGHUP)
            victims = wait_for("a new worker that serves", lambda: accepting(running) - before)
            os.kill(victims.pop(), signal.SIGKILL)
            killed_at = time.monotonic()
            wait_for("all to be new", lambda: are_others(running.pid, before)() and is_complete(running))
            assert time.monotonic() - killed_at < SLACK * (GRACEFUL_S + BACK_S)
            tally.wait_for(tally.ok + 100)
        end_group(running.pid)
    assert tally.refused == 0
    assert len(tally.failed) <= KEEP_ALIVE_CLIENTS + FRESH_CLIENTS, (
        "one request of each client was on its way at the most"
    )


def accepting(balancer: Balancer) -> set[int]:
    """Workers that take requests and are not on their way out."""
    with opened(snapshot_file.read(str(balancer.state_dir / "snapshot.json"))) as segment:
        assert segment is not None
        rows = [segment.slot_cells(index) for index in segment.live_slots()]
        return {row[SLOT_PID] for row in rows if row[SLOT_READY] == READY}


def is_complete(balancer: Balancer) -> bool:
    return accepting(balancer) == children_of(balancer.pid) and len(children_of(balancer.pid)) == WORKERS


def are_others(arbiter: int, before: set[int]) -> Callable[[], bool]:
    return lambda: len(now := children_of(arbiter)) == WORKERS and not now & before


def test_usr2_and_term_of_the_old_lose_nothing(balancer: Balancer) -> None:
    arbiter = balancer.pid
    with load_on(balancer.port) as tally:
        for _ in range(UPGRADES):
            new = wait_for("the new arbiter with its workers", upgrading(arbiter))
            tally.wait_for(tally.ok + 100)
            os.kill(arbiter, signal.SIGTERM)
            wait_for("the end of the old one's workers", lambda old=arbiter, new=new: children_of(old) <= {new})  # type: ignore[misc]
            arbiter = new
            tally.wait_for(tally.ok + 100)
    assert (tally.refused, tally.failed) == (0, [])


def upgrading(arbiter: int) -> Callable[[], int]:
    """Asks for an upgrade until it has begun (gunicorn ignores USR2 for a second after an upgrade); then
    its pid, once all its workers are there."""

    def look() -> int:
        new = next((one for one in children_of(arbiter) if children_of(one)), 0)
        if not new:
            os.kill(arbiter, signal.SIGUSR2)
        return new if len(children_of(new)) == WORKERS else 0

    return look
