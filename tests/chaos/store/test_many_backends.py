"""Many backends at once (ten thousand at full size), by a reload and over the API: other requests go on as before, and all is there."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.process.running import SLACK, Run
from tests.chaos.store.pair import Pair, admin, pair
from tests.support.redis_server import redis_server
from tests.support.waiting import wait_for

BACKENDS = 10_000 if os.environ.get("LB_CHAOS") == "full" else 1_000
SLACK_MS = 2_000.0
"""Of requests while a publisher validates and four workers follow, on two cores that run other things too."""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with redis_server() as server, pair(tmp_path_factory.mktemp("many"), [server.url] * 2) as running:
        running.wait_until_shared()
        yield running


def many(config: dict[str, Any], count: int) -> str:
    backends = [{"id": f"b{n}", "url": f"http://127.{n >> 16}.{n >> 8 & 255}.{n & 255}:9"} for n in range(1, count + 1)]
    pools = config["pools"] | {"many": {"backends": backends, "policy": "round_robin", "health": {"type": "none"}}}
    return json.dumps(config | {"pools": pools})


def workers_on(run: Run) -> int:
    """Of how many backends all workers and the controller know."""
    state = admin(run, "GET", "/api/v1/state").body
    is_followed = all(one["generation"] == state["generation"] for one in state["workers"])
    pools = {pool["id"]: len(pool["backends"]) for pool in state["pools"]}
    return pools.get("many", 0) if is_followed else -1


def test_by_a_reload_and_over_the_api(both: Pair) -> None:
    one, two = both.runs
    config = json.loads(one.file.read_text())
    with both.counted("reload", SLACK_MS):
        began = time.monotonic()
        one.file.write_text(many(config, BACKENDS))
        one.signal(signal.SIGHUP)
        wait_for("all of them", lambda: workers_on(one) == BACKENDS)
        print(f"{BACKENDS} backends by a reload: in force after {time.monotonic() - began:.2f} s")
        both.wait_until_shared()
    with both.counted("PUT", SLACK_MS):
        began = time.monotonic()
        answer = admin(two, "PUT", "/api/v1/config", many(json.loads(two.file.read_text()), BACKENDS))
        assert answer.status == 200, answer
        wait_for("all of them", lambda: workers_on(two) == BACKENDS)
        print(f"{BACKENDS} backends over the API: in force after {time.monotonic() - began:.2f} s")
        both.wait_until_shared()
    with both.counted("beside them", SLACK_MS):
        both.wait_until_shared()
        assert both.change() < SLACK * 10
    one.file.write_text(json.dumps(config))
    one.signal(signal.SIGHUP)
    wait_for("none of them", lambda: workers_on(one) == 0)
