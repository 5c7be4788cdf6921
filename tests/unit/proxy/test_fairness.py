"""A peer that is never slower than we are: everybody else on the hub is served all the same.

Each peer here has always more to say, or always room for more, so that nobody ever waits for it.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from time import monotonic
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from lb.model import PoolTimeouts
from lb.proxy.answer import LengthReader
from lb.proxy.attempt import _read_head
from lb.proxy.deadlines import Deadline, Expired, Sweeper
from lb.proxy.reply import LINGER_BYTES, _linger
from lb.proxy.stream import TURN_MASK, TURN_S, Stream
from lb.proxy.tls import _BARREN_BYTES, TlsLayer
from lb.proxy.tunnel import Patience, Tunnel
from lb.proxy.upload import Upload
from tests.support.scripted import raw, tcp_pair
from tests.unit.proxy.serving import local_route, serving
from tests.unit.proxy.test_serve import GET, LAST, statuses
from tests.unit.proxy.test_tls import NAME, Pair, certificate

__all__ = ["certificate"]

ROUNDS = 10 * (TURN_MASK + 1)
LEAST_TURNS = ROUNDS // (TURN_MASK + 1) - 2


class Others:
    """Everybody else: how many turns they had."""

    def __init__(self) -> None:
        self.turns = 0

    def run(self) -> None:
        while True:
            self.turns += 1
            gevent.sleep(0)


@pytest.fixture
def others() -> Iterator[Others]:
    made = Others()
    running = gevent.spawn(made.run)
    yield made
    running.kill()


def noting(others: Others, seen: list[int]) -> Any:
    """An action that notes how many turns the others have had when it is asked."""
    hello = local_route("hello").local
    assert hello is not None

    def note(exchange: Any) -> Any:
        seen.append(others.turns)
        return hello(exchange)

    return note


def test_a_turn_is_long_enough_for_sockets_and_timers(hub: Any) -> None:
    """Not only for what is ready anyway: else nothing would be read and no deadline kept beside a busy loop."""
    told: list[str] = []
    with tcp_pair() as (ours, _), tcp_pair() as (other, far):
        stream = Stream(ours, hub)
        watcher, timer = hub.loop.io(other.fileno(), 1), hub.loop.timer(0)
        watcher.start(lambda: (told.append("socket"), watcher.stop()))
        timer.start(lambda: told.append("timer"))
        far.sendall(b"x")
        for _ in range(3):
            stream.let_others()
        watcher.close()
        timer.close()
    assert sorted(told) == ["socket", "timer"]


def test_pipelined_requests_that_are_answered_here(sweeper: Sweeper, others: Others) -> None:
    seen: list[int] = []
    note = noting(others, seen)
    with serving(sweeper, local_route("note", note)) as served, served.client() as client:
        client.sendall(GET * (ROUNDS - 1) + LAST)
        assert statuses(client, ROUNDS) == [200] * ROUNDS
    assert seen[-1] - seen[0] >= LEAST_TURNS


def test_pipelined_requests_that_each_take_their_time(sweeper: Sweeper, others: Others) -> None:
    """Eight in one turn would be eight times as long as one."""
    seen: list[int] = []
    note = noting(others, seen)

    def slow(exchange: Any) -> Any:
        until = monotonic() + 1.2 * TURN_S
        while monotonic() < until:
            pass
        return note(exchange)

    with serving(sweeper, local_route("slow", slow)) as served, served.client() as client:
        client.sendall(GET * TURN_MASK + LAST)
        assert statuses(client, TURN_MASK + 1) == [200] * (TURN_MASK + 1)
    assert seen[-1] - seen[0] >= TURN_MASK - 1


def test_a_head_of_tiny_records(sweeper: Sweeper, hub: Any, certificate: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte of it in each: none of them is waited for."""
    given = 0

    def let_others(_: Stream) -> None:
        nonlocal given
        given += 1

    monkeypatch.setattr(Stream, "let_others", let_others)
    head = b"GET / HTTP/1.1\r\nHost: lb.test\r\nX-Long: %b\r\nConnection: close\r\n\r\n" % (b"x" * ROUNDS)
    with (
        serving(sweeper, local_route("hello")) as served,
        served.client(served.entrance(tls=certificate.server())) as sock,
    ):
        client = Stream(raw(sock), hub)
        client.start_tls(certificate.client(), NAME)
        assert client.tls is not None
        for at in range(len(head)):
            client.tls.encrypt(head[at : at + 1])
        client.tls.flush_now()
        assert client.recv().startswith(b"HTTP/1.1 200")
        client.close()
    assert given >= LEAST_TURNS


class Eager:
    """A stream that takes everything at once, and gives ``pieces`` times ``piece`` before its end."""

    def __init__(self, others: Others, piece: bytes = b"", pieces: int = 0) -> None:
        self.tls = None
        self.member: Any = None
        self.taken = 0
        self.turns: list[int] = []
        self._others = others
        self._piece, self._pieces = piece, pieces

    def let_others(self) -> None:
        gevent.sleep(0)

    def send_now(self, data: Any) -> int:
        self.turns.append(self._others.turns)
        self.taken += len(data)
        return len(data)

    def send(self, data: Any) -> None:
        self.send_now(data)

    def recv_now(self, size: int) -> bytes:
        raise BlockingIOError

    def recv(self, size: int) -> bytes:
        self.turns.append(self._others.turns)
        self._pieces -= 1
        return self._piece if self._pieces >= 0 else b""

    def end_writing(self) -> None:
        return


def had_turns(stream: Eager) -> bool:
    return stream.turns[-1] - stream.turns[0] >= LEAST_TURNS


class Dribbling(Eager):
    """Every byte of ``data`` is there at once, and by itself, as in TLS records of one byte."""

    def __init__(self, others: Others, data: bytes) -> None:
        super().__init__(others)
        self.fields = None
        self.is_reused = False
        self._data = iter(data)

    def recv_later(self) -> bytes:
        self.turns.append(self._others.turns)
        return bytes((next(self._data),))


def test_a_backends_head_in_tiny_pieces(others: Others) -> None:
    backend: Any = Dribbling(others, b"HTTP/1.1 200 OK\r\nX-Long: %b\r\n\r\n" % (b"x" * ROUNDS))
    exchange: Any = SimpleNamespace(upload=None)
    head, rest = _read_head(exchange, backend)
    assert (head.status, rest) == (200, b"")
    assert had_turns(backend)


class EndlessBody:
    """There is always a piece of it, ``ROUNDS`` times."""

    def __init__(self) -> None:
        self.is_done = False
        self._reads = 0

    def read(self) -> bool:
        self._reads += 1
        self.is_done = self._reads >= ROUNDS
        return True

    def take(self) -> bytes:
        return b"piece"


def test_an_upload(others: Others) -> None:
    """And nobody's time runs out while it gives up its turn: neither side has kept it waiting."""
    backend = Eager(others, b"answer", 1)
    backend.member = SimpleNamespace(pool=SimpleNamespace(timeouts=PoolTimeouts()))
    deadline = Deadline(None)
    deadline.set(0.0, "backend_timeout")
    left_s: list[float] = []
    backend.let_others = lambda: (left_s.append(deadline.at - monotonic()), gevent.sleep(0))  # type: ignore[assignment, return-value]
    exchange = SimpleNamespace(
        body=EndlessBody(), deadline=deadline, upload=None, first_byte_at=0.0, total_at=0.0, wait_for_head=lambda: None
    )
    upload = Upload(exchange, backend)  # type: ignore[arg-type]
    assert upload.recv() == b"answer"
    assert backend.taken == ROUNDS * len(b"piece")
    assert ROUNDS // 32 <= len(left_s) < ROUNDS // 8, "and once more where the machine stood still"
    assert min(left_s) > PoolTimeouts().idle_s - 5.0


def test_a_download(others: Others) -> None:
    backend = Eager(others, b"piece", ROUNDS)
    backend.member = SimpleNamespace(pool=SimpleNamespace(timeouts=PoolTimeouts()))
    exchange = SimpleNamespace(deadline=Deadline(None), upload=None)
    reader = LengthReader(backend, exchange, ROUNDS * len(b"piece"), reusable=False)  # type: ignore[arg-type]
    for _ in range(ROUNDS):
        assert reader.read() == b"piece"
    assert had_turns(backend)


def test_what_comes_behind_a_refusal(others: Others) -> None:
    client = Eager(others, bytes(LINGER_BYTES // ROUNDS), ROUNDS)
    _linger(client, Deadline(None))  # type: ignore[arg-type]
    assert had_turns(client)


def test_a_tunnel(others: Others, sweeper: Sweeper, hub: Any) -> None:
    with tcp_pair() as (ours, _):
        backend = Eager(others, b"said", ROUNDS)
        client = Eager(others)
        made = Tunnel(client, Stream(ours, hub), Patience(60.0, 30.0), sweeper, hub)  # type: ignore[arg-type]
        made._copy(backend, client, b"")  # type: ignore[arg-type]
        made.backend.close()
    assert client.taken == ROUNDS * len(b"said")
    assert had_turns(client)


# --- giving up a turn


def test_a_deadline_that_passes_meanwhile_leaves_nothing_behind(hub: Any, sweeper: Sweeper) -> None:
    """The turn that was asked for must not come later, when this greenlet waits for something else."""
    with tcp_pair() as (ours, _):
        stream = Stream(ours, hub)
        me = gevent.getcurrent()
        hub.loop.run_callback(me.throw, Expired("body_timeout"))
        with pytest.raises(Expired):
            stream.let_others()
        with contextlib.closing(stream), gevent.Timeout(0.05, False):
            stream.wait_readable()
            pytest.fail("woken by nothing")


# --- TLS records without data


class Mute:
    """Says records without end that decrypt to nothing."""

    def __init__(self) -> None:
        self.asked = 0

    def recv(self, size: int) -> bytes:
        self.asked += 1
        return bytes(size)

    def send(self, data: Any) -> int:
        return len(data)


class Barren:
    """OpenSSL, fed with them."""

    def __init__(self, incoming: ssl.MemoryBIO) -> None:
        self._incoming = incoming

    def read(self, size: int) -> bytes:
        self._incoming.read()
        raise ssl.SSLWantReadError


def test_records_without_data_are_read_once_a_turn_and_not_for_ever(certificate: Pair) -> None:
    peer = Mute()
    layer = TlsLayer(peer, certificate.server(), None, b"")
    layer._object = Barren(layer._incoming)  # type: ignore[assignment]
    for turn in range(_BARREN_BYTES // (16 * 1024 + 261) + 1):
        with pytest.raises(BlockingIOError):
            layer.recv_now(16 * 1024)
        assert peer.asked == turn + 1
    with pytest.raises(ssl.SSLError, match="without data"):
        layer.recv_now(16 * 1024)
