"""``lb status`` and ``lb backend`` on a real ``lb run``, as an operator types them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lb.state.publish import read_token
from tests.chaos.process.load import Connection, load_on
from tests.chaos.process.running import Run, hello_backends
from tests.chaos.store.pair import admin
from tests.support.redis_server import RedisServer, redis_server
from tests.support.waiting import wait_for

FOLLOWED_S = 3.0
"""Promised: a second; three times that on a machine that runs other things as well."""


@pytest.fixture(scope="module")
def ports() -> Iterator[list[int]]:
    with hello_backends(3) as ports:
        yield ports


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, ports: list[int]) -> Iterator[Run]:
    """One for all: each test goes on from where the one before left it."""
    run = _Named(tmp_path_factory.mktemp("commands"), ports[:2])
    run.start()
    run.wait_until_ready()
    yield run
    run.end()


class _Named(Run):
    """Backends ``one``, ``two``; round robin."""

    redis = ""

    def configure(self, **changes: Any) -> None:
        backends = [
            {"id": id, "url": f"http://127.0.0.1:{port}"}
            for id, port in zip(("one", "two"), self.backends, strict=True)
        ]
        state = {"dir": str(self.directory / "state"), "redis": self.redis}
        pools = {"web": {"backends": backends, "policy": "weighted_round_robin", "health": {"interval": "200ms"}}}
        super().configure(pools=pools, state=state, **changes)

    def states(self) -> dict[str, tuple[str, int]]:
        return {one.id: (one.state, one.weight) for one in self.snapshot().config.pools[0].backends}

    def requests(self) -> dict[str, int]:
        return {one["id"]: one["requests"] for one in self.state()["pools"][0]["backends"]}

    def state(self) -> dict[str, Any]:
        """Empty while nobody answers."""
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/api/v1/state") as answer,
        ):
            return dict(json.load(answer))
        return {}


def lb(run: Run, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "LB_CONFIG": str(run.file)}
    return subprocess.run(
        [sys.executable, "-m", "lb.cli.main", *arguments], env=environ, capture_output=True, text=True, timeout=60
    )


def done(run: Run, *arguments: str) -> str:
    said = lb(run, *arguments)
    assert said.returncode == 0, said.stderr
    return said.stdout


def test_refusals_are_sentences(run: _Named) -> None:
    for arguments, said in (
        (("drain", "web", "onee"), "refused: pool web has no backend `onee`, did you mean `one`?\n"),
        (("weight", "web", "one", "0"), "refused: weight: expected a number from 1 to 256, got 0\n"),
        (("add", "web", "x", f"http://127.0.0.1:{run.port}"), "is our own listener `traffic`"),
        (
            ("drain", "web", "one", "--url", f"http://127.0.0.1:{run.admin_port}", "--state-dir", str(run.directory)),
            "hand it the token by $LB_ADMIN_TOKEN, or say where it is: --state-dir DIR\n",
        ),
    ):
        refused = lb(run, "backend", *arguments)
        assert refused.returncode == 1 and said in refused.stderr and refused.stdout == ""


def test_the_file_over_the_api(run: _Named) -> None:
    text = run.file.read_text()
    generation = run.snapshot().generation

    def put(body: str) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{run.admin_port}/api/v1/config",
            body.encode(),
            {"Content-Type": "application/yaml", "Authorization": f"Bearer {read_token(str(run.directory / 'state'))}"},
            method="PUT",
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    status, body = put(text.replace("10s", "9s"))
    assert (status, body["generation"]) == (200, generation + 1)
    assert run.snapshot().config.graceful_timeout_s == 9
    assert Path(f"{run.file}.previous").read_text() == text
    assert put("pools: 3")[0] == 422
    assert run.snapshot().generation == generation + 1


def test_a_drain_loses_no_request_and_weights_change_shares(run: _Named, ports: list[int]) -> None:
    with load_on(run.port) as tally:
        assert done(run, "backend", "drain", "web", "one", "--wait").endswith("web/one is idle\n")
        before = run.requests()
        tally.wait_for(tally.ok + 100)
        assert run.requests()["one"] == before["one"]
        done(run, "backend", "add", "web", "three", f"http://127.0.0.1:{ports[2]}", "--weight", "3")
        done(run, "backend", "rm", "web", "one")
        wait_for("the new one", lambda: run.requests().get("three", 0) > 0)
        before = run.requests()
        tally.wait_for(tally.ok + 200)
        after = run.requests()
    assert (tally.refused, tally.failed) == (0, [])
    share = Counter(after)
    share.subtract(before)
    assert share["three"] > 2 * share["two"] > 0
    shown = done(run, "status")
    assert "web (weighted_round_robin)  two" in shown and "\x1b" not in shown
    assert "three" in shown and " one " not in shown


def test_changes_survive_the_controller_and_everything(run: _Named) -> None:
    done(run, "backend", "weight", "web", "three", "9")
    done(run, "backend", "disable", "web", "two")
    expected = {"two": ("disabled", 1), "three": ("ready", 9)}
    assert run.states() == expected
    applied = run.events("configuration_applied")
    run.signal(signal.SIGHUP)
    run.wait_for_event("configuration_applied", applied + 1)
    assert run.states() == expected
    controller = json.loads(done(run, "status", "--json"))["controller"]["pid"]
    os.kill(controller, signal.SIGKILL)
    wait_for("another controller", lambda: run.state().get("controller", {}).get("pid", controller) != controller)
    assert run.states() == expected
    run.signal(signal.SIGQUIT)
    run.wait_for_end()
    refused = lb(run, "status")
    assert refused.returncode == 1 and "no balancer answers" in refused.stderr and "Traceback" not in refused.stderr
    run.start()
    run.wait_until_ready()
    assert run.states() == expected
    done(run, "backend", "ready", "web", "two")
    with Connection(run.port) as connection:
        assert connection.get("/")


def test_two_machines_and_a_store_that_goes_and_comes(tmp_path: Path, ports: list[int]) -> None:
    with redis_server() as server:
        runs = [_shared(tmp_path / name, ports[:2], server) for name in ("a", "b")]
        try:
            for one in runs:
                one.start()
            for one in runs:
                one.wait_until_ready()
            wait_for("both to know of each other", lambda: _knows_another(done(runs[0], "status")))
            for by, arguments in (
                (0, ("drain", "web", "one")),
                (1, ("add", "web", "three", f"http://127.0.0.1:{ports[2]}", "--weight", "3")),
                (0, ("weight", "web", "two", "7")),
            ):
                assert "all machines" in _when_up(runs[by], *arguments)
            all_of_it = {"one": ("drain", 1), "two": ("ready", 7), "three": ("ready", 3)}
            _all_have(runs, all_of_it)
            assert all("three" in done(one, "status") for one in runs)
            server.client().flushall()
            wait_for("what was lost", lambda: server.client().hgetall("{lb}:operator"))
            _all_have(runs, all_of_it)
            server.kill()
            alone = lb(runs[0], "backend", "ready", "web", "one")
            assert "this machine" in alone.stdout and "warning: changed on this machine only" in alone.stderr
            assert [one.states()["one"][0] for one in runs] == ["ready", "drain"]
            assert "on this machine only: web/one ready" in done(runs[0], "status")
            for_all = admin(runs[0], "PATCH", "/api/v1/pools/web/backends/one?scope=cluster", {"state": "disabled"})
            assert (for_all.status, for_all.retry_after) == (503, "1")
            assert runs[0].states()["one"][0] == "ready", "refused, and nothing changed"
            _restart(runs[1])
            assert runs[1].states() == all_of_it, "restarted while the store is gone"
            server.start()
            assert "all machines" in _when_up(runs[1], "disable", "web", "one")
            assert "all machines" in _when_up(runs[0], "rm", "web", "three")
            _all_have(runs, {"one": ("disabled", 1), "two": ("ready", 7)})
            assert not any("three" in done(one, "status") for one in runs)
        finally:
            for one in runs:
                one.end()


def _shared(folder: Path, ports: list[int], server: RedisServer) -> _Named:
    run = _Named(folder, ports)
    run.redis = server.url
    run.configure()
    return run


def _when_up(run: _Named, *arguments: str) -> str:
    wait_for("the store", lambda: run.state()["store"]["is_up"])
    return done(run, "backend", *arguments)


def _all_have(runs: list[_Named], states: dict[str, tuple[str, int]]) -> None:
    wait_for(str(states), lambda: all(one.states() == states for one in runs), FOLLOWED_S)


def _restart(run: _Named) -> None:
    run.signal(signal.SIGQUIT)
    run.wait_for_end()
    run.start()
    run.wait_until_ready()


def _knows_another(status: str) -> bool:
    """The table of machines has a line for it below our own."""
    lines = status.splitlines()
    own = next((place for place, line in enumerate(lines) if "(this one)" in line), len(lines) - 2)
    return " in use" in status and not lines[own + 1].startswith("pool ")
