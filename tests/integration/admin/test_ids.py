"""A backend's id may have every legal character: in the store, the admin API, ``lb backend``, ``lb status`` and metrics."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lb.config.checks import label
from lb.state import operator_file
from tests.chaos.process.running import Run, hello_backends
from tests.chaos.store.pair import admin
from tests.support.raw_client import get
from tests.support.redis_server import RedisServer, redis_server
from tests.support.waiting import wait_for

LEGAL = "".join(chr(code) for code in range(33, 127) if chr(code) not in '"\\')
IDS = (LEGAL, "-%2F../{x}:news", "--", "x" * 200)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture(scope="module")
def run(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with hello_backends(2) as ports:
        run = Run(tmp_path_factory.mktemp("ids"), ports, workers=1)
        state = {"dir": str(run.directory / "state"), "redis": server.url}
        run.configure(
            state=state, pools={"web": {"backends": [f"http://127.0.0.1:{ports[0]}"], "policy": "round_robin"}}
        )
        run.start()
        run.wait_until_ready()
        wait_for("the store", lambda: admin(run, "GET", "/api/v1/state").body["store"]["is_up"])
        yield run
        run.end()


def lb(run: Run, *arguments: str) -> str:
    environ = {**os.environ, "LB_CONFIG": str(run.file)}
    argv = [sys.executable, "-m", "lb.cli.main", *arguments]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("id", IDS, ids=["all", "paths", "dashes", "longest"])
def test_an_id_of_any_legal_characters(id: str, run: Run, server: RedisServer) -> None:
    assert label(id) == id
    client = server.client()
    place = f"http://127.0.0.1:{run.backends[1]}"
    said = lb(run, "backend", "add", "--weight", "3", "--max-inflight", "5", "--", "web", id, place)
    assert f"web/{id} is added" in said and "all machines" in said
    assert f"web/{id}" in client.hkeys("{lb}:operator")
    wait_for("its slice", lambda: client.exists(f"{{lb}}:limit:web/{id}@127.0.0.1:{run.backends[1]}"))
    wait_for("a request of its", lambda: _requests(run, id, get(run.port, "/").status))
    lb(run, "backend", "weight", "--", "web", id, "7")
    lb(run, "backend", "drain", "--wait", "--", "web", id)
    found = {one.id: (one.state, one.weight) for one in run.snapshot().config.pools[0].backends}
    assert found[id] == ("drain", 7)
    assert operator_file.load(str(run.directory / "state")).overlay.entry(f"web/{id}").weight == 7
    assert f'backend="{id}"' in admin(run, "GET", "/metrics").text
    assert id[:30] in lb(run, "status").replace("\n", "")
    lb(run, "backend", "rm", "--", "web", id)
    assert id not in [one.id for one in run.snapshot().config.pools[0].backends]


def _requests(run: Run, id: str, status: int) -> bool:
    backends = admin(run, "GET", "/api/v1/state").body["pools"][0]["backends"]
    return status == 200 and any(one["id"] == id and one["requests"] for one in backends)
