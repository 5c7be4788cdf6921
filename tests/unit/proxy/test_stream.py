"""A socket on the hub: waiting for it, being told of it, and ending it one way or the other."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
import pytest

from lb.errors import NothingSent
from lb.proxy.deadlines import Deadline, Expired
from lb.proxy.stream import Stream, connect, wait_either
from tests.support.fault_origin import fault_origin
from tests.support.scripted import black_hole, pair, read_all, read_exactly, run_hub_until, tcp_pair

BIG = bytes(range(256)) * 20_000


class Told(Stream):
    """Remembers what it was told on the hub."""

    def __init__(self, sock: Any, hub: Any) -> None:
        super().__init__(sock, hub)
        self.unexpected = 0
        self.progress = 0

    def on_unexpected(self) -> None:
        self.unexpected += 1
        super().on_unexpected()

    def on_progress(self) -> None:
        self.progress += 1


@pytest.fixture
def ends(hub: Any) -> Iterator[tuple[Told, Any]]:
    with pair() as (ours, theirs):
        stream = Told(ours, hub)
        yield stream, theirs
        stream.close()


@pytest.fixture
def tcp_ends(hub: Any) -> Iterator[tuple[Told, Any]]:
    with tcp_pair() as (ours, theirs):
        stream = Told(ours, hub)
        yield stream, theirs
        stream.close()


def reset(peer: Any) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()


def soon(act: Any, *arguments: Any) -> None:
    """After whoever runs now has begun to wait."""
    gevent.spawn_later(0.005, act, *arguments)


# --- reading


def test_what_is_here_is_read_without_waiting(ends: tuple[Told, Any]) -> None:
    stream, peer = ends
    peer.sendall(b"hello")
    assert stream.recv(3) == b"hel"
    assert stream.recv(99) == b"lo"


@pytest.mark.parametrize("read", ["recv", "recv_later"])
def test_what_is_not_here_is_waited_for(read: str, ends: tuple[Told, Any]) -> None:
    stream, peer = ends
    for data in (b"one", b"two"):
        soon(peer.sendall, data)
        assert getattr(stream, read)() == data
    assert stream.unexpected == 0


def test_the_end_is_nothing(ends: tuple[Told, Any]) -> None:
    stream, peer = ends
    soon(peer.close)
    assert stream.recv() == b""


def test_a_wait_can_be_broken_off(ends: tuple[Told, Any], deadline: Deadline) -> None:
    stream, peer = ends
    deadline.set(0.0, "idle")
    with pytest.raises(Expired):
        stream.recv()
    soon(peer.sendall, b"late")
    assert stream.recv() == b"late"


# --- being told


def test_readable_while_nobody_waits_is_told_once(ends: tuple[Told, Any]) -> None:
    stream, peer = ends
    stream.arm()
    peer.sendall(b"hello")
    run_hub_until(lambda: stream.unexpected)
    assert (stream.unexpected, stream.is_disarmed) == (1, True)
    stream.arm()
    run_hub_until(lambda: stream.unexpected > 1)
    assert stream.unexpected == 2


def test_one_who_waits_is_not_told(ends: tuple[Told, Any]) -> None:
    stream, peer = ends
    stream.arm()
    soon(peer.sendall, b"hello")
    stream.wait_readable()
    assert (stream.unexpected, stream.is_disarmed) == (0, False)


def test_disarmed_is_deaf(ends: tuple[Told, Any]) -> None:
    stream, peer = ends
    stream.arm()
    stream.disarm()
    peer.sendall(b"hello")
    gevent.sleep(0.01)
    assert stream.unexpected == 0


# --- writing


def test_a_peer_that_does_not_read_holds_the_sender_up(ends: tuple[Told, Any]) -> None:
    stream, peer = ends
    reader = gevent.spawn_later(0.01, read_exactly, peer, len(BIG))
    stream.send(BIG)
    assert stream.progress > 0
    assert reader.get() == BIG


def test_a_small_write_waits_for_nothing(ends: tuple[Told, Any]) -> None:
    stream, peer = ends
    stream.send(b"hello")
    stream.send(b"")
    assert (peer.recv(9), stream.progress) == (b"hello", 0)


def test_a_write_that_makes_no_progress_can_be_broken_off(ends: tuple[Told, Any], deadline: Deadline) -> None:
    stream, _ = ends
    deadline.set(0.0, "client_gone")
    with pytest.raises(Expired):
        stream.send(BIG)


def test_whether_anything_was_taken_before_a_reset_is_told(tcp_ends: tuple[Told, Any]) -> None:
    stream, peer = tcp_ends
    gevent.spawn_later(0.02, reset, peer)
    with pytest.raises(ConnectionError) as caught:
        stream.send(BIG)
    assert not isinstance(caught.value, NothingSent), "some of it may have arrived"
    with pytest.raises(NothingSent):
        stream.send(b"hello")


def test_writing_to_one_who_left_is_an_error(ends: tuple[Told, Any]) -> None:
    stream, peer = ends
    peer.close()
    with pytest.raises(OSError):
        stream.send(BIG)


# --- looking, ending


def test_looking_without_taking(ends: tuple[Told, Any]) -> None:
    stream, peer = ends
    assert (stream.peek_closed(), stream.is_quiet()) == (False, True)
    peer.sendall(b"x")
    assert (stream.peek_closed(), stream.is_quiet()) == (False, False)
    peer.close()
    assert not stream.peek_closed()
    assert stream.recv() == b"x"
    assert (stream.peek_closed(), stream.is_quiet()) == (True, False)


def test_a_reset_looks_closed(tcp_ends: tuple[Told, Any]) -> None:
    stream, peer = tcp_ends
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    gevent.sleep(0.01)
    assert (stream.peek_closed(), stream.is_quiet()) == (True, False)


def test_one_side_can_end_before_the_other(ends: tuple[Told, Any]) -> None:
    stream, peer = ends
    stream.send(b"that was all")
    stream.end_writing()
    assert read_all(peer) == b"that was all"
    peer.sendall(b"thanks")
    assert stream.recv() == b"thanks"


def test_closing_is_a_clean_end_and_happens_once(tcp_ends: tuple[Told, Any]) -> None:
    stream, peer = tcp_ends
    stream.send(b"bye")
    stream.close()
    stream.close()
    stream.reset()
    stream.end_writing()
    assert read_all(peer) == b"bye"
    assert "closed" in repr(stream)


def test_a_reset_is_no_clean_end(tcp_ends: tuple[Told, Any]) -> None:
    stream, peer = tcp_ends
    stream.send(b"half of it")
    stream.reset()
    with pytest.raises(ConnectionResetError):
        read_all(peer)


# --- two at once


@pytest.fixture
def two(hub: Any) -> Iterator[tuple[Stream, Any, Stream, Any]]:
    with ExitStack() as stack:
        backend, backend_peer = stack.enter_context(pair())
        client, client_peer = stack.enter_context(pair())
        streams = Told(backend, hub), Told(client, hub)
        yield streams[0], backend_peer, streams[1], client_peer
        for stream in streams:
            stream.close()


@pytest.mark.parametrize("who", ["backend", "client"])
def test_either_of_two_ends_the_wait(who: str, two: tuple[Told, Any, Told, Any]) -> None:
    backend, backend_peer, client, client_peer = two
    soon((backend_peer if who == "backend" else client_peer).sendall, b"x")
    wait_either(backend, client)
    assert [backend.is_quiet(), client.is_quiet()] == [who == "client", who == "backend"]
    assert (backend._waiter, client._waiter) == (None, None)


def test_both_at_once_end_it_once(two: tuple[Told, Any, Told, Any]) -> None:
    backend, backend_peer, client, client_peer = two
    soon(lambda: (backend_peer.sendall(b"x"), client_peer.sendall(b"y")))
    wait_either(backend, client)
    gevent.sleep(0.01)
    assert (backend.recv(), client.recv()) == (b"x", b"y")


def test_room_to_write_ends_the_wait(two: tuple[Told, Any, Told, Any]) -> None:
    backend, backend_peer, _, _ = two
    wait_either(backend, None)
    while True:
        try:
            backend.send_now(BIG)
        except BlockingIOError:
            break
    soon(read_exactly, backend_peer, 300_000)
    wait_either(backend, None)
    assert backend.send_now(b"x") == 1


def test_a_full_backend_that_speaks_ends_the_wait(two: tuple[Told, Any, Told, Any]) -> None:
    backend, backend_peer, _, _ = two
    with pytest.raises(BlockingIOError):
        while True:
            backend.send_now(BIG)
    soon(backend_peer.sendall, b"stop")
    wait_either(backend, None)
    assert backend.recv() == b"stop"


def test_a_broken_off_wait_leaves_nobody_waiting(two: tuple[Told, Any, Told, Any], deadline: Deadline) -> None:
    backend, _, client, client_peer = two
    deadline.set(0.0, "body_timeout")
    with pytest.raises(Expired):
        wait_either(backend, client)
    client_peer.sendall(b"late")
    run_hub_until(lambda: client.unexpected)
    assert client.unexpected == 1


# --- connecting


def test_a_connected_socket_does_not_block(hub: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sock = connect(hub, socket.AF_INET, listening.getsockname())
        assert sock.gettimeout() == 0.0
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        sock.close()


def test_why_a_connect_failed(hub: Any, tmp_path: Path) -> None:
    with fault_origin() as nobody, pytest.raises(ConnectionRefusedError):
        connect(hub, socket.AF_INET, ("127.0.0.1", nobody.port))
    with pytest.raises(OSError) as caught:
        connect(hub, socket.AF_UNIX, str(tmp_path / "nobody.sock"))
    assert caught.value.errno == errno.ENOENT


def test_a_connect_that_hangs_can_be_broken_off(hub: Any, deadline: Deadline) -> None:
    with black_hole() as port, pytest.raises(Expired):
        deadline.set(0.0, "connect_timeout")
        connect(hub, socket.AF_INET, ("127.0.0.1", port))
