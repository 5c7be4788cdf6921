"""Stand-ins for what the data path meets: a clock, shared memory, a stream, a socket's other end, time that runs out.

Everything runs in one thread on its gevent hub. Real sockets are used where the kernel's behaviour is
the point (``pair``, ``tcp_pair``), memory where it is not (``ScriptedStream``).
"""

from __future__ import annotations

import _socket
import contextlib
import socket
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent
from gevent import socket as green
from greenlet import getcurrent

from lb.http1.request import RequestHead, parse_request
from lb.proxy import deadlines
from lb.proxy.cells import CellDirectory
from lb.proxy.deadlines import Deadline, Sweeper
from lb.state.layout import COUNTER_CELLS, SHARED_CELLS

QUICK_PERIOD_S = 0.005
"""Sweeps of tests: a deadline is found passed after a few milliseconds."""


class FakeClock:
    """Seconds that pass when a test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class FakeSegment:
    """A machine's shared cells in plain arrays; the segment and this worker's slot in one."""

    def __init__(self, slots: int = 4, index: int = 1) -> None:
        self.index = index
        self.slots = slots
        self._columns: dict[int, tuple[memoryview, memoryview, list[memoryview]]] = {}

    def of_worker(self, index: int) -> FakeSegment:
        """The same memory, as another worker has it."""
        other = FakeSegment(self.slots, index)
        other._columns = self._columns
        return other

    def shared(self, column: int) -> memoryview:
        return self._column(column)[0]

    def inflight_view(self, column: int) -> memoryview:
        return self._column(column)[1][1:]

    def load_view(self, column: int) -> memoryview:
        return self._column(column)[1]

    def counters(self, column: int) -> memoryview:
        return self._column(column)[2][self.index]

    def _column(self, column: int) -> tuple[memoryview, memoryview, list[memoryview]]:
        if column not in self._columns:
            counters = [_view(COUNTER_CELLS) for _ in range(self.slots)]
            self._columns[column] = (_view(SHARED_CELLS), _view(1 + self.slots), counters)
        return self._columns[column]


def _view(cells: int) -> memoryview:
    return memoryview(array("q", bytes(8 * cells)))


def directory(names: Iterable[str], segment: FakeSegment | None = None) -> CellDirectory:
    """Cells for named columns of one fake segment."""
    segment = segment or FakeSegment()
    return CellDirectory({name: column for column, name in enumerate(names)}, segment, segment)


def head_of(
    line: str = "GET / HTTP/1.1", *fields: str, host: str | None = "lb.test", encoding: str = "latin-1"
) -> RequestHead:
    """A parsed request head; raises RequestError as the parser does."""
    lines = [line, *([f"Host: {host}"] if host is not None else []), *fields]
    return parse_request("\r\n".join([*lines, "", ""]).encode(encoding))


class ScriptedStream:
    """In memory: each read takes the next piece. None: nothing has come yet; an exception is raised; the end stays."""

    def __init__(self, *pieces: bytes | BaseException | None) -> None:
        self.pieces = list(pieces)
        self.waits = 0

    def recv_now(self, size: int) -> bytes:
        piece = self.pieces.pop(0) if self.pieces else b""
        if piece is None:
            raise BlockingIOError
        if isinstance(piece, BaseException):
            raise piece
        if len(piece) > size:
            self.pieces.insert(0, piece[size:])
        return piece[:size]

    def recv(self, size: int) -> bytes:
        while True:
            try:
                return self.recv_now(size)
            except BlockingIOError:
                self.wait_readable()

    def wait_readable(self) -> None:
        self.waits += 1


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """``data`` in pieces, cut at the places that lie inside it; no piece is empty."""
    inside = sorted({place for place in places if 0 < place < len(data)})
    return [data[start:end] for start, end in zip([0, *inside], [*inside, len(data)], strict=True) if start < end]


# --- sockets


def raw(sock: socket.socket) -> _socket.socket:
    """The same socket as the data path has them: non-blocking, without a wrapper."""
    bare = _socket.socket(fileno=sock.detach())
    bare.setblocking(False)
    return bare


@contextlib.contextmanager
def pair() -> Iterator[tuple[_socket.socket, Any]]:
    """Two ends of a local connection: ours raw, the other's a gevent socket that waits on the hub."""
    ours, theirs = green.socketpair()
    bare = raw(ours)
    try:
        yield bare, theirs
    finally:
        bare.close()
        theirs.close()


@contextlib.contextmanager
def tcp_pair() -> Iterator[tuple[_socket.socket, Any]]:
    """As ``pair``, over TCP: with resets, and buffers of the kernel's choice. Never switches greenlets."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        plain = socket.create_connection(listening.getsockname())
        ours, _ = listening.accept()
    theirs = green.socket(fileno=plain.detach())
    bare = raw(ours)
    try:
        yield bare, theirs
    finally:
        bare.close()
        theirs.close()


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port where connects hang: with a full accept queue the kernel drops every further SYN."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


def read_all(sock: Any) -> bytes:
    """What comes until the peer's end."""
    received = b""
    while data := sock.recv(65536):
        received += data
    return received


def read_exactly(sock: Any, size: int) -> bytes:
    received = b""
    while len(received) < size:
        data = sock.recv(size - len(received))
        assert data, f"ended after {len(received)} of {size} bytes"
        received += data
    return received


# --- time


def run_hub_until(claim: Callable[[], object], deadline_s: float = 5.0) -> None:
    """Lets the other greenlets run until ``claim`` is true: a sleep is over early on a hub that was held up."""
    with gevent.Timeout(deadline_s, AssertionError("not in time")):
        while not claim():
            gevent.sleep(0.001)


@contextlib.contextmanager
def quick_sweeper() -> Iterator[Sweeper]:
    """Deadlines that are looked at every few milliseconds, on this thread's hub."""
    usual, deadlines.PERIOD_S = deadlines.PERIOD_S, QUICK_PERIOD_S
    try:
        sweeper = Sweeper(gevent.get_hub())
    finally:
        deadlines.PERIOD_S = usual
    sweeper.start()
    try:
        yield sweeper
    finally:
        sweeper.stop()


@contextlib.contextmanager
def my_deadline(sweeper: Sweeper) -> Iterator[Deadline]:
    """A deadline of the greenlet that runs now."""
    deadline = Deadline(getcurrent())
    sweeper.deadlines.add(deadline)
    try:
        yield deadline
    finally:
        sweeper.deadlines.discard(deadline)
