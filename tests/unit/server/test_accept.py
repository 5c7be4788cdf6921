"""Taking connections: all of them, but no more than our share while others are there, and none that we cannot hold."""

from __future__ import annotations

import contextlib
import errno
import resource
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from lb.model import Config, State
from lb.server import accept
from lb.server.accept import Acceptor, most_connections
from tests.support.scripted import FakeSegment, directory


class Front:
    """In the place of the worker's: keeps what it is given, and counts it as the real one does."""

    def __init__(self, hub: Any, cells: Any) -> None:
        self.hub = hub
        self.open: list[Any] = []
        self.peers: list[bytes] = []
        self._cells = cells

    def accept(self, sock: Any, peer: bytes, entrance: Any) -> None:
        self.open.append(sock)
        self.peers.append(peer)
        self._cells.inflight[self._cells.slot] = len(self.open)


class Worker:
    """One of ``workers``; ``others`` is how many connections another one has."""

    def __init__(self, hub: Any, workers: int) -> None:
        cells = directory(["worker"], FakeSegment(slots=4, index=1)).of("worker")
        config = Config("lb.yaml", (), (), (), State("/nowhere"), workers=workers)
        self.cells = cells
        self.runtime: Any = SimpleNamespace(worker_cells=cells, snapshot=SimpleNamespace(config=config))
        self.front: Any = Front(hub, cells)


@pytest.fixture
def clients() -> Iterator[list[socket.socket]]:
    opened: list[socket.socket] = []
    yield opened
    for client in opened:
        client.close()


def connect(clients: list[socket.socket], address: Any, count: int, family: int = socket.AF_INET) -> None:
    for _ in range(count):
        client = socket.socket(family)
        client.connect(address)
        clients.append(client)


@contextlib.contextmanager
def accepting(listening: Any, worker: Worker) -> Iterator[None]:
    acceptor = Acceptor(listening, worker.front, SimpleNamespace(id="traffic"), worker.runtime)  # type: ignore[arg-type]
    acceptor.start()
    yield
    acceptor.stop()
    for sock in worker.front.open:
        sock.close()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as sock:
        yield sock


@pytest.fixture
def alone(hub: Any, listening: socket.socket) -> Iterator[Worker]:
    worker = Worker(hub, workers=1)
    with accepting(listening, worker):
        yield worker


@pytest.fixture
def one_of_two(hub: Any, listening: socket.socket) -> Iterator[Worker]:
    worker = Worker(hub, workers=2)
    with accepting(listening, worker):
        yield worker


def wait_for(worker: Worker, count: int) -> None:
    with gevent.Timeout(5):
        while len(worker.front.open) < count:
            gevent.sleep(0.001)
    assert len(worker.front.open) == count


def test_all_that_come_are_taken(alone: Worker, listening: socket.socket, clients: list[socket.socket]) -> None:
    connect(clients, listening.getsockname(), 40)
    wait_for(alone, 40)
    assert set(alone.front.peers) == {b"127.0.0.1"}


def test_what_is_taken_does_not_block_and_is_watched_over(
    alone: Worker, listening: socket.socket, clients: list[socket.socket]
) -> None:
    connect(clients, listening.getsockname(), 1)
    wait_for(alone, 1)
    sock = alone.front.open[0]
    assert sock.gettimeout() == 0.0
    for level, option in (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    ):
        assert sock.getsockopt(level, option) > 0


@pytest.mark.parametrize(
    ("bind", "family", "peer"),
    [(("::", 0), socket.AF_INET, b"127.0.0.1"), (("::1", 0), socket.AF_INET6, b"::1"), ("unix", socket.AF_UNIX, b"")],
    ids=["v4-on-v6", "v6", "unix"],
)
def test_peers(bind: Any, family: int, peer: bytes, hub: Any, clients: list[socket.socket], tmp_path: Any) -> None:
    path = str(tmp_path / "lb.sock")
    with socket.socket(socket.AF_UNIX if bind == "unix" else socket.AF_INET6) as listening:
        if bind != "unix":
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(path if bind == "unix" else bind)
        listening.listen()
        worker = Worker(hub, workers=1)
        with accepting(listening, worker):
            where = {socket.AF_UNIX: path, socket.AF_INET: ("127.0.0.1", 0), socket.AF_INET6: ("::1", 0)}[family]
            if not isinstance(where, str):
                where = (where[0], listening.getsockname()[1])
            connect(clients, where, 1, family)
            wait_for(worker, 1)
            assert worker.front.peers == [peer]


def test_one_with_more_than_its_share_leaves_new_ones_a_moment_to_others(
    one_of_two: Worker, listening: socket.socket, clients: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept, "_YIELD_S", 1.0)
    one_of_two.cells.inflight[one_of_two.cells.slot] = 10
    connect(clients, listening.getsockname(), 1)
    gevent.sleep(0.02)
    assert one_of_two.front.open == []
    wait_for(one_of_two, 1)


def test_one_with_no_more_than_its_share_takes_them_at_once(
    one_of_two: Worker, listening: socket.socket, clients: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept, "_YIELD_S", 60.0)
    one_of_two.cells.inflight[3] = 10
    connect(clients, listening.getsockname(), 5)
    wait_for(one_of_two, 5)


def test_those_that_nobody_else_takes_are_all_taken(
    one_of_two: Worker, listening: socket.socket, clients: list[socket.socket]
) -> None:
    connect(clients, listening.getsockname(), 12)
    wait_for(one_of_two, 12)


def test_no_more_than_there_are_descriptors_for(
    hub: Any, listening: socket.socket, clients: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept, "most_connections", lambda: 3)
    monkeypatch.setattr(accept, "_BATCH", 1)
    monkeypatch.setattr(accept, "_FULL_PAUSE_S", 0.005)
    worker = Worker(hub, workers=1)
    with accepting(listening, worker):
        connect(clients, listening.getsockname(), 5)
        wait_for(worker, 3)
        gevent.sleep(0.03)
        assert len(worker.front.open) == 3
        worker.front.open.pop().close()
        wait_for(worker, 3)


def test_how_many_are_most() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert most_connections() == max(16, soft * 4 // 5)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ECONNABORTED])
def test_a_failing_accept_is_tried_again(
    code: int, hub: Any, listening: socket.socket, clients: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of descriptors: after a pause, instead of a busy loop."""
    failed: list[int] = []

    class Failing(accept._socket.socket):  # type: ignore[misc]
        def _accept(self) -> Any:
            if not failed:
                failed.append(code)
                raise OSError(code, "no")
            return super()._accept()  # type: ignore[misc]

    monkeypatch.setattr(accept._socket, "socket", Failing)
    monkeypatch.setattr(accept, "_OUT_OF_DESCRIPTORS_PAUSE_S", 0.005)
    worker = Worker(hub, workers=1)
    with accepting(listening, worker):
        connect(clients, listening.getsockname(), 2)
        wait_for(worker, 2)
    assert failed == [code]
