"""P6: a store of several servers loses its first one, or moves: no request fails, and all is shared again within 5 s."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.chaos.process.running import SLACK
from tests.chaos.store.faults import QUOTED, SECRET, acl_line, cluster_acl_line
from tests.chaos.store.pair import BACK_S, Pair, pair
from tests.support.redis_groups import redis_cluster, sentinels
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

LOGIN = f"lb:{QUOTED}@"
IS_FULL = os.environ.get("LB_CHAOS") == "full"
FAILOVERS: Sequence[str] = ("kill", "stop") if IS_FULL else ("kill",)
MOVING_S = 5.0 if IS_FULL else 1.0


@pytest.mark.parametrize("how", FAILOVERS)
def test_a_failover_by_sentinels(how: str, tmp_path: Path) -> None:
    options = ("--user", *acl_line(), "--masteruser", "default")
    with sentinels(tmp_path / "sentinels", *options) as watched:
        url = watched.url(LOGIN)
        with pair(tmp_path, [url, url]) as both:
            both.change()
            both.wait_until_shared()
            first = watched.master
            generations = both.generations()
            assert len(set(generations)) == 1
            with both.counted("failover"):
                began = time.monotonic()
                _ = first.kill() if how == "kill" else first.stop()
                wait_for("another master", lambda: watched.master is not first)
                promoted = time.monotonic()
                took = both.wait_until_shared(promoted, BACK_S * SLACK)
                took["change"] = both.change(by=1)
                _ = first.start() if how == "kill" else first.go_on()
                wait_for("the first to follow", lambda: first.client().role()[0] in ("slave", b"slave"))
                both.wait_until_shared(deadline_s=BACK_S * SLACK)
            assert both.generations() == [1 + generations[0]] * 2, "one change, made once"
            print(f"Sentinels ({how}): promoted {promoted - began:.2f} s after, shared again after {took} s more")
            _check_rights(both, watched.servers)


def test_a_cluster_whose_slot_moves_and_whose_node_is_killed(tmp_path: Path) -> None:
    with redis_cluster("lb", "--user", *cluster_acl_line()) as cluster:
        url = cluster.url(LOGIN)
        with pair(tmp_path, [url, url]) as both:
            both.change()
            both.wait_until_shared()
            first, other = cluster.owner, next(one for one in cluster.masters if one is not cluster.owner)
            with both.counted("move"):
                cluster.begin_moving(other, keys=3)
                _last(MOVING_S)  # ASK for one key, TRYAGAIN for several
                cluster.finish_moving(other)
                took = both.wait_until_shared(deadline_s=BACK_S * SLACK)
                took["change"] = both.change(by=1)
            print(f"cluster, slot moved: shared again after {took} s")
            with both.counted("move back"):
                cluster.begin_moving(first, keys=100)
                cluster.finish_moving(first)
                both.wait_until_shared(deadline_s=BACK_S * SLACK)
            with both.counted("node killed"):
                began = time.monotonic()
                first.kill()
                wait_for("its replica", lambda: _is_master(cluster.replica))
                promoted = time.monotonic()
                took = both.wait_until_shared(promoted, BACK_S * SLACK)
                took["change"] = both.change(by=0)
            print(f"cluster: promoted {promoted - began:.2f} s after, shared again after {took} s more")
            _check_rights(both, [*(one for one in cluster.masters if one is not first), cluster.replica])


def _is_master(server: RedisServer) -> bool:
    return server.client().role()[0] in ("master", b"master")


def _last(seconds: float) -> None:
    time.sleep(seconds)


def _check_rights(both: Pair, servers: Sequence[RedisServer]) -> None:
    """The documented ones suffice, and no secret is said."""
    for server in servers:
        assert [entry for entry in server.client().acl_log() if entry["reason"] != "auth"] == []
    said = both.said()
    assert SECRET not in said and QUOTED not in said
