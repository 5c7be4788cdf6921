"""What the balancer says of itself from outside: a controller that stands still, and what each process costs."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import Any

from tests.chaos.process.running import Run
from tests.support.raw_client import get
from tests.support.waiting import wait_for

PLACE = re.compile(r'lb_process_(cpu_seconds_total|resident_memory_bytes|open_fds)\{role="(\w+)",slot="\d*"\} (\S+)')


def readiness(run: Run) -> tuple[int, dict[str, Any]]:
    answer = get(run.status_port, "/health/ready")
    return answer.status, json.loads(answer.body)


def test_a_controller_that_stands_still_is_told_while_requests_are_served(run: Run) -> None:
    wait_for("readiness without a problem", lambda: "problem" not in readiness(run)[1])
    [controller] = run.workers_of(run.arbiter("control"))
    os.kill(controller, signal.SIGSTOP)
    try:
        wait_for("the problem", lambda: "problem" in readiness(run)[1])
        status, said = readiness(run)
        assert (status, said["status"]) == (200, "degraded")
        assert re.match(r"the controller has said nothing for \d+ s: ", said["problem"])
        assert get(run.port, "/").status == 200
    finally:
        os.kill(controller, signal.SIGCONT)
    wait_for("the end of it", lambda: "problem" not in readiness(run)[1])


def test_every_process_has_its_cpu_memory_and_open_files(run: Run) -> None:
    roles = ["arbiter", "controller", "controller_arbiter", "supervisor", *["worker"] * run.workers]

    def told() -> dict[str, list[tuple[str, float]]]:
        found: dict[str, list[tuple[str, float]]] = {}
        for family, role, value in PLACE.findall(get(run.status_port, "/metrics").body.decode()):
            found.setdefault(family, []).append((role, float(value)))
        return found

    wait_for("all processes", lambda: sorted(role for role, _ in told().get("open_fds", ())) == roles)
    families = told()
    assert len(families) == 3
    assert len(roles) == 1 + len(run.descendants()), "nothing else runs"
    for series in families.values():
        assert sorted(role for role, _ in series) == roles
        assert min(value for _, value in series) > 0
