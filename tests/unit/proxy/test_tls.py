"""TLS on a stream: handshakes, bytes of any number, and ends that cannot be mistaken for each other."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import pytest

from lb.model import BackendTls
from lb.proxy.deadlines import Deadline, Expired
from lb.proxy.stream import Stream
from lb.proxy.tls import backend_context
from tests.support.certificates import self_signed
from tests.support.scripted import tcp_pair

BIG = bytes(range(256)) * 10_000
NAME = "lb.test"


@dataclass(frozen=True)
class Pair:
    cert: str
    key: str

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        context.set_alpn_protocols(["http/1.1"])
        return context

    def client(self) -> ssl.SSLContext:
        return backend_context(BackendTls(ca=self.cert))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(*self_signed(tmp_path_factory.mktemp("tls"), NAME))


@contextlib.contextmanager
def connected(hub: Any, certificate: Pair) -> Iterator[tuple[Stream, Stream]]:
    """A server's and a client's stream whose handshake is done."""
    with tcp_pair() as (ours, theirs):
        theirs.setblocking(False)
        server, client = Stream(ours, hub), Stream(socket.socket(fileno=theirs.detach()), hub)
        client.sock.setblocking(False)
        greeting = gevent.spawn(server.start_tls, certificate.server())
        client.start_tls(certificate.client(), NAME)
        greeting.get()
        yield server, client
        for stream in (server, client):
            stream.close()


@pytest.fixture
def ends(hub: Any, certificate: Pair) -> Iterator[tuple[Stream, Stream]]:
    with connected(hub, certificate) as both:
        yield both


def everything(stream: Stream) -> bytes:
    data = b""
    while piece := stream.recv(65536):
        data += piece
    return data


def test_both_ways(ends: tuple[Stream, Stream]) -> None:
    server, client = ends
    client.send(b"ping")
    assert server.recv() == b"ping"
    server.send(b"pong")
    assert client.recv_later() == b"pong"
    assert client.tls._object.selected_alpn_protocol() == "http/1.1"
    assert client.tls._object.version() in ("TLSv1.2", "TLSv1.3")


def test_a_big_write_waits_for_its_reader(ends: tuple[Stream, Stream]) -> None:
    server, client = ends
    writer = gevent.spawn(server.send, BIG)
    received = b""
    while len(received) < len(BIG):
        received += client.recv(100_000)
    writer.get()
    assert received == BIG


def test_a_write_without_waiting_takes_what_fits(ends: tuple[Stream, Stream]) -> None:
    server, client = ends
    taken = 0
    with pytest.raises(BlockingIOError):
        while True:
            taken += server.send_now(BIG[: 200_000 - taken % 1000])
    received = b""
    while len(received) < taken:
        received += client.recv(100_000)
        server.tls.flush_now()
    assert len(received) == taken


@pytest.mark.parametrize("closer", ["server", "client"])
def test_who_says_no_more_still_hears_all(ends: tuple[Stream, Stream], closer: str) -> None:
    """What was there before the goodbye, what was decrypted already, and what comes after it."""
    silent, talker = ends if closer == "server" else ends[::-1]
    talker.send(BIG[:150_000])
    assert silent.recv(10) == BIG[:10]
    silent.end_writing()
    assert talker.recv() == b""
    talking = gevent.spawn(talker.send, BIG[150_000:400_000])
    received = b""
    while len(received) < 399_990:
        received += silent.recv(100_000)
    talking.get()
    talker.end_writing()
    assert received == BIG[10:400_000]
    assert silent.recv() == b""
    assert not silent.tls.was_cut


def test_what_a_peer_said_before_it_reset_is_heard(ends: tuple[Stream, Stream]) -> None:
    """Bytes of ours that it will never take do not stand before what it has said."""
    server, client = ends
    server.send(b"413")
    gevent.sleep(0.01)
    server.sock.close()
    with pytest.raises(OSError):
        for _ in range(100):
            client.tls.send_now(b"x" * 1000)
            gevent.sleep(0.001)
    assert client.tls.pending or client.tls._outgoing.pending
    assert client.recv_now(10) == b"413"


def test_small_reads_lose_nothing(ends: tuple[Stream, Stream]) -> None:
    """What has been decrypted already is not waited for on the socket."""
    server, client = ends
    client.send(b"hello world")
    assert [server.recv_later(5), server.recv_later(5), server.recv_later(5)] == [b"hello", b" worl", b"d"]
    with pytest.raises(BlockingIOError):
        server.recv_now(5)


def test_a_close_is_a_clean_end(ends: tuple[Stream, Stream]) -> None:
    server, client = ends
    server.send(b"bye")
    server.close()
    assert everything(client) == b"bye"
    assert client.tls._object.shared_ciphers  # still whole


def test_one_side_can_end_before_the_other(ends: tuple[Stream, Stream]) -> None:
    server, client = ends
    client.send(b"that was all")
    client.end_writing()
    assert everything(server) == b"that was all"
    server.send(b"but I go on")
    assert client.recv() == b"but I go on"


def test_a_reset_does_not_say_goodbye(ends: tuple[Stream, Stream]) -> None:
    """A cut answer must not look whole, as it would with a close_notify before the reset."""
    server, client = ends
    server.send(b"half of it")
    assert client.recv() == b"half of it"
    waiting = gevent.spawn(client.recv)
    gevent.sleep(0)
    server.reset()
    with pytest.raises(ConnectionResetError):
        waiting.get()


# --- handshakes


def greet(hub: Any, ours: Any, certificate: Pair, **more: Any) -> Stream:
    stream = Stream(ours, hub)
    try:
        stream.start_tls(certificate.server(), **more)
    except BaseException:
        stream.close()
        raise
    return stream


def test_bytes_that_were_read_before_belong_to_the_handshake(hub: Any, certificate: Pair) -> None:
    with tcp_pair() as (ours, theirs):
        client = Stream(socket.socket(fileno=theirs.detach()), hub)
        client.sock.setblocking(False)
        greeting = gevent.spawn(client.start_tls, certificate.client(), NAME)
        gevent.sleep(0.01)
        server = greet(hub, ours, certificate, received=ours.recv(65536))
        greeting.get()
        client.send(b"ping")
        assert server.recv() == b"ping"
        client.close()
        server.close()


@pytest.mark.parametrize("says", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01", b""])
def test_what_is_no_handshake(says: bytes, hub: Any, certificate: Pair) -> None:
    with tcp_pair() as (ours, theirs):
        theirs.sendall(says)
        theirs.shutdown(1)
        with pytest.raises(OSError):
            greet(hub, ours, certificate)


def test_a_handshake_that_does_not_go_on_can_be_broken_off(hub: Any, certificate: Pair, deadline: Deadline) -> None:
    with tcp_pair() as (ours, theirs):
        theirs.sendall(b"\x16\x03\x01")
        deadline.set(0.0, "head_timeout")
        with pytest.raises(Expired):
            greet(hub, ours, certificate)


# --- who the backend is


def handshake(hub: Any, certificate: Pair, tls: BackendTls, name: str) -> bool:
    with tcp_pair() as (ours, theirs):
        client = Stream(socket.socket(fileno=theirs.detach()), hub)
        client.sock.setblocking(False)
        greeting = gevent.spawn(_quietly, greet, hub, ours, certificate)
        try:
            client.start_tls(backend_context(tls), name)
        except ssl.SSLError:
            return False
        finally:
            client.close()
            if (server := greeting.get()) is not None:
                server.close()
    return True


def _quietly(act: Any, *arguments: Any) -> Any:
    with contextlib.suppress(OSError):
        return act(*arguments)


@pytest.mark.parametrize(
    ("verify", "knows_ca", "name", "passes"),
    [
        (True, True, NAME, True),
        (True, True, "other.test", False),
        (True, False, NAME, False),
        (False, False, "other.test", True),
    ],
)
def test_a_backend_is_who_it_says(
    verify: bool, knows_ca: bool, name: str, passes: bool, hub: Any, certificate: Pair, tmp_path: Path
) -> None:
    other, _ = self_signed(tmp_path, "ca.test")
    tls = BackendTls(verify=verify, ca=certificate.cert if knows_ca else other)
    assert handshake(hub, certificate, tls, name) is passes


def test_a_ca_file_that_breaks_is_said_once_and_the_last_good_one_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ca = Path(self_signed(tmp_path, "a.test")[0])
    good = backend_context(BackendTls(ca=str(ca)))
    ca.write_bytes(b"none of this is PEM")
    assert [backend_context(BackendTls(ca=str(ca))) for _ in range(3)] == [good] * 3
    assert len([line for line in caplog.messages if "kept the old one" in line]) == 1


def test_a_ca_file_moved_into_anothers_place_is_read_whatever_its_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        os.utime(self_signed(tmp_path / name, f"{name}.test")[0], ns=(1, 1))
    ca = tmp_path / "a" / "cert.pem"
    before = backend_context(BackendTls(ca=str(ca))).get_ca_certs()
    (tmp_path / "b" / "cert.pem").replace(ca)
    assert backend_context(BackendTls(ca=str(ca))).get_ca_certs() != before


def test_what_differs_in_trust_shares_no_context(certificate: Pair) -> None:
    strict, lax = (backend_context(BackendTls(ca=certificate.cert, verify=verify)) for verify in (True, False))
    assert (strict.verify_mode, lax.verify_mode) == (ssl.CERT_REQUIRED, ssl.CERT_NONE)
    assert strict.check_hostname and backend_context(BackendTls(ca=certificate.cert)) is strict
