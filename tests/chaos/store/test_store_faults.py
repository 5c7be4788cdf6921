"""Rows 67 to 72 and 74: whatever becomes of the store, no request fails or waits, it is said, and all is shared again soon."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.chaos.process.running import SLACK
from tests.chaos.store.faults import FAULTS, QUOTED, SECRET, Fault, acl_line, last
from tests.chaos.store.pair import BACK_S, FOLLOWED_S, Pair, pair
from tests.support.redis_server import RedisServer, redis_server

IS_FULL = os.environ.get("LB_CHAOS") == "full"
LASTS_S = 10.0 if IS_FULL else 1.2
"""Not less: a call is given up after half a second, and what is said is looked at twice a second."""
GROUPS: Sequence[Sequence[Fault]] = [[one] for one in FAULTS] if IS_FULL else [FAULTS]
"""In small, one after the other, and looked at once after the last."""


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Whose user has the rights that the documentation says, and no more."""
    with redis_server("--user", *acl_line()) as running:
        yield running


@pytest.fixture(scope="module")
def both(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    url = f"redis://lb:{QUOTED}@127.0.0.1:{server.port}/0"
    with pair(tmp_path_factory.mktemp("faults"), [url, url]) as running:
        running.change()
        running.wait_until_shared()
        yield running
        said = running.said()
        assert SECRET not in said and QUOTED not in said


@pytest.mark.parametrize("faults", GROUPS, ids=lambda faults: ",".join(map(str, faults)))
def test_no_request_fails_or_waits_it_is_said_and_soon_all_is_shared_again(
    faults: Sequence[Fault], both: Pair, server: RedisServer
) -> None:
    for fault in faults:
        with both.counted(fault.name):
            began = time.monotonic()
            fault.begin(server, LASTS_S)
            over = time.monotonic()
            if fault.said:
                both.wait_for_problem(fault.said, 10.0 * SLACK)
            last(LASTS_S if fault.said else 1.0, began)
            if fault.said:
                fault.end(server, LASTS_S)
                over = time.monotonic()
        took = both.wait_until_shared(over, BACK_S * SLACK)
        _check_stored(both, server)
    with both.counted(f"after {faults[-1]}"):
        took["change"] = both.change(by=1)
    print(f"after {faults[-1]}: shared again after {took} s")
    assert took["change"] < FOLLOWED_S * SLACK
    assert both.problems() == ["", ""]


def _check_stored(both: Pair, server: RedisServer) -> None:
    """What the store holds again."""
    client = server.client()
    assert client.get("{lb}:schema") == "1"
    assert json.loads(client.hget("{lb}:operator", "web/A") or "{}")["weight"] == both.weight
    assert sorted(client.zrange("{lb}:machines", 0, -1)) == ["one", "two"]
    assert any("abc" in key for key in client.keys("{lb}:order:*"))
    assert len(client.keys("{lb}:limit:busy/b@*")) == 1
    denied = [entry for entry in client.acl_log() if entry["reason"] != "auth"]
    assert denied == [], "the documented rights suffice"
