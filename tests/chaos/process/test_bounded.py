"""One hot key and a bound: over two workers no backend works on more than its part of what is under way, and all counts end at 0."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from threading import Event, Lock

from lb.state.segment import Segment
from tests.chaos.process.running import Run
from tests.support.behaviours import OK, answering
from tests.support.fault_origin import fault_origin
from tests.support.recorded import Recorded
from tests.support.waiting import wait_for

BACKENDS, FACTOR, CLIENTS = 5, 1.25, 60
ROUNDS = 20 if os.environ.get("LB_CHAOS") == "full" else 4
GET = b"GET /hot HTTP/1.1\r\nHost: lb.test\r\nConnection: close\r\n\r\n"


class Gate:
    """Requests wait at it; how many, by backend."""

    def __init__(self) -> None:
        self.waiting = [0] * BACKENDS
        self.opened = Event()
        self._lock = Lock()

    def reply(self, backend: int, _: Recorded) -> bytes:
        with self._lock:
            self.waiting[backend] += 1
        self.opened.wait()
        with self._lock:
            self.waiting[backend] -= 1
        return OK


def test_nobody_gets_more_than_its_part_of_a_hot_key(tmp_path: Path) -> None:
    gate = Gate()
    with contextlib.ExitStack() as stack:
        ports = [
            stack.enter_context(fault_origin(answering(lambda request, i=i: gate.reply(i, request)))).port  # type: ignore[misc]
            for i in range(BACKENDS)
        ]
        run = Run(tmp_path / "lb", ports)
        policy = {"name": "consistent_hash", "key": "path", "bounded_load": FACTOR}
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        run.configure(pools={"web": {"backends": urls, "policy": policy, "health": {"type": "none"}}})
        stack.callback(run.end)
        run.start()
        run.wait_until_ready()
        run.wait_for_workers()
        for _ in range(ROUNDS):
            gate.opened.clear()
            with clients(run.port) as socks:
                wait_for("all of them", lambda: sum(gate.waiting) == CLIENTS)
                assert max(gate.waiting) <= ceil(FACTOR * CLIENTS / BACKENDS), gate.waiting
                assert total(run) == CLIENTS
                gate.opened.set()
                for sock in socks:
                    while sock.recv(65536):
                        pass
            wait_for("nothing to be under way", lambda: total(run) == 0 == run.inflight())


@contextlib.contextmanager
def clients(port: int) -> Iterator[list[socket.socket]]:
    """They ask all at once."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60)) for _ in range(CLIENTS)]
        for sock in socks:
            sock.sendall(GET)
        yield socks


def total(run: Run) -> int:
    """The pool's sum over the workers."""
    snapshot = run.snapshot()
    segment = Segment.open(snapshot.segment)
    try:
        return sum(segment.load_view(snapshot.columns["sum:web"]))
    finally:
        segment.close()
