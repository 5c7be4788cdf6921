"""A worker that spins for ever: the arbiter's watchdog ends it, and meanwhile the others serve."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.chaos.process.load import FRESH_CLIENTS, KEEP_ALIVE_CLIENTS, load_on
from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.scale import IS_FULL
from tests.support.waiting import wait_for

SETTINGS = "tests.support.settings.spinning"
TIMEOUT_S = 30.0 if IS_FULL else 4.0
"""In full: what the product sets."""
ARBITER_LOOKS_EACH_S = 1.0
SLACK_S = 15.0
CLIENTS = KEEP_ALIVE_CLIENTS + FRESH_CLIENTS


@pytest.fixture
def balancer(backends: list[int]) -> Iterator[Balancer]:
    environ = {} if IS_FULL else {"LB_TEST_TIMEOUT_S": f"{TIMEOUT_S:g}"}
    config = {**simple_config(backends), "workers": 2}
    with running_balancer(config, settings=SETTINGS, environ=environ) as running:
        wait_for("both workers", lambda: len(running.workers()) == 2)
        yield running


def test_a_worker_that_spins_is_replaced_and_holds_nobody_up(balancer: Balancer) -> None:
    with load_on(balancer.port) as tally:
        stuck = balancer.workers()[0]
        os.kill(stuck.pid, signal.SIGUSR2)
        began = time.monotonic()
        while stuck.is_running() and stuck.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() - began < TIMEOUT_S + 2 * ARBITER_LOOKS_EACH_S + SLACK_S, balancer.log()
            tally.wait_for(tally.ok + 10)
        assert time.monotonic() - began > TIMEOUT_S / 2, "it was not the watchdog"
        wait_for("another worker", lambda: len(balancer.workers()) == 2, SLACK_S)
        tally.wait_for(tally.ok + 100)
    assert tally.refused == 0
    assert len(tally.failed) <= CLIENTS, tally.failed[:5]
    assert "WORKER TIMEOUT" in balancer.log()
    wait_for("nothing in flight", lambda: balancer.inflight() == 0, SLACK_S)
