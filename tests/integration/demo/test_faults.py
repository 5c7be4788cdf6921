"""A demo that something happens to: a backend is killed under load; the user stops it."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.demo.running import HOST, Demo, is_free, running, stop

CLIENTS = 4
LOAD_S = 3.0


class Load:
    """Clients that GET ``/`` over and over on connections they keep."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.failures: list[str] = []
        self.servers: Counter[str] = Counter()
        self._ending = threading.Event()
        self._clients = [threading.Thread(target=self._client) for _ in range(CLIENTS)]

    def __enter__(self) -> Load:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for client in self._clients:
            client.join()

    def _client(self) -> None:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        while not self._ending.is_set():
            try:
                self._get(connection)
            except (OSError, http.client.HTTPException) as problem:
                self.failures.append(repr(problem))
                connection.close()
        connection.close()

    def _get(self, connection: http.client.HTTPConnection) -> None:
        connection.request("GET", "/?algo=round_robin")
        answer = connection.getresponse()
        try:
            body = answer.read()
        except (http.client.IncompleteRead, ConnectionResetError):
            connection.close()  # its answer had begun: the one thing that may be lost
            return
        if answer.status != 200:
            self.failures.append(f"{answer.status} {body!r}")
        self.servers[body.decode().split('"serverName": "')[-1].split('"')[0]] += 1


def test_a_killed_backend_costs_no_get(tmp_path: Path) -> None:
    with running(tmp_path) as demo:
        with Load(demo.base) as load:
            wait_for(lambda: load.servers["backend-3"] > 0)
            demo.backend_process(3).kill()
            killed_at = time.monotonic()
            wait_for(lambda: time.monotonic() - killed_at > LOAD_S)
        assert load.failures == []
        assert set(load.servers) == {f"backend-{n}" for n in range(1, 7)}
        wait_for(lambda: "backend-3 ended by SIGKILL; the others go on" in demo.said())
        after = {demo.get("/?algo=round_robin").json["serverName"] for _ in range(10)}
        assert after == {f"backend-{n}" for n in (1, 2, 4, 5, 6)}


@pytest.fixture
def hang_up_counts() -> Iterator[None]:
    """Also where this is run by nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopping_leaves_nothing(tmp_path: Path, number: signal.Signals, hang_up_counts: None) -> None:
    with running(tmp_path) as demo:
        directory = state_directory_of(demo)
        segment = Path(json.loads((directory / "snapshot.json").read_text())["segment"])
        assert segment.exists()
        assert stop(demo, number) == []
        assert demo.process.returncode == 0, demo.said()
        assert all(is_free(demo.base + offset) for offset in (*range(7), 50, 51))
        assert not directory.exists()
        assert not segment.exists()


def state_directory_of(demo: Demo) -> Path:
    line = next(line for line in demo.said().splitlines() if "access log" in line)
    return Path(line.split()[-1]).parent


def wait_for(claim: Callable[[], bool], *, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)
