"""A tunnel: every byte both ways, each side ends for itself, and silence ends both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gevent
import pytest
from greenlet import getcurrent, greenlet

from lb.proxy.deadlines import Deadline, Sweeper
from lb.proxy.stream import Stream
from lb.proxy.tunnel import PIECE_BYTES, Patience, Tunnel
from tests.support.scripted import read_all, read_exactly, tcp_pair

BIG = bytes(range(256)) * 8000


@dataclass
class Ends:
    tunnel: Tunnel
    client: Any
    """The client's own socket, as the client has it; and the backend's."""
    backend: Any
    runs: greenlet

    def is_over(self) -> bool:
        return self.runs.dead


@contextlib.contextmanager
def tunnel(
    sweeper: Sweeper,
    hub: Any,
    silence_s: float = 60.0,
    first: tuple[bytes, bytes] = (b"", b""),
    blocked_s: float = 30.0,
    backend: type[Stream] = Stream,
) -> Iterator[Ends]:
    """One that runs in a greenlet of its own; both of its sockets are closed when it ends, as its owner does."""
    with tcp_pair() as (to_client, client), tcp_pair() as (to_backend, backends):
        made = Tunnel(Stream(to_client, hub), backend(to_backend, hub), Patience(silence_s, blocked_s), sweeper, hub)

        def run() -> None:
            deadline = Deadline(getcurrent())
            sweeper.deadlines.add(deadline)
            made.run(deadline, *first)
            sweeper.deadlines.discard(deadline)
            made.client.close()
            made.backend.close()

        runs = greenlet(run, hub)
        hub.loop.run_callback(runs.switch)
        yield Ends(made, client, backends, runs)
        for stream in (made.client, made.backend):
            with contextlib.suppress(OSError):
                stream.sock.shutdown(2)
        wait_until(lambda: runs.dead)
        assert not sweeper.deadlines


def wait_until(claim: Any) -> None:
    with gevent.Timeout(5):
        while not claim():
            gevent.sleep(0.002)


def test_bytes_go_both_ways_and_are_counted(sweeper: Sweeper, hub: Any) -> None:
    with tunnel(sweeper, hub) as ends:
        ends.client.sendall(b"ping")
        assert read_exactly(ends.backend, 4) == b"ping"
        ends.backend.sendall(b"hello")
        assert read_exactly(ends.client, 5) == b"hello"
        assert (ends.tunnel.received, ends.tunnel.sent) == (4, 5)


def test_what_came_before_it_began_goes_first(sweeper: Sweeper, hub: Any) -> None:
    with tunnel(sweeper, hub, first=(b"from client ", b"from backend ")) as ends:
        ends.client.sendall(b"more")
        ends.backend.sendall(b"more")
        assert read_exactly(ends.backend, 16) == b"from client more"
        assert read_exactly(ends.client, 17) == b"from backend more"
        assert (ends.tunnel.received, ends.tunnel.sent) == (16, 17)


def test_one_that_does_not_read_holds_up_only_its_own_side(sweeper: Sweeper, hub: Any) -> None:
    with tunnel(sweeper, hub) as ends:
        writer = gevent.spawn(ends.backend.sendall, BIG * 4)
        gevent.sleep(0.02)
        ends.client.sendall(b"ping")
        assert read_exactly(ends.backend, 4) == b"ping"
        assert read_exactly(ends.client, 4 * len(BIG)) == BIG * 4
        writer.get()


@pytest.mark.parametrize("who", ["client", "backend"])
def test_each_side_ends_for_itself(who: str, sweeper: Sweeper, hub: Any) -> None:
    with tunnel(sweeper, hub) as ends:
        first, second = (ends.client, ends.backend) if who == "client" else (ends.backend, ends.client)
        first.sendall(b"that was all")
        first.shutdown(1)
        assert read_all(second) == b"that was all"
        second.sendall(b"but I go on")
        assert read_exactly(first, 11) == b"but I go on"
        assert not ends.is_over()
        second.shutdown(1)
        assert read_all(first) == b""
        wait_until(ends.is_over)


@pytest.mark.parametrize("who", ["client", "backend"])
def test_a_reset_of_one_ends_both(who: str, sweeper: Sweeper, hub: Any) -> None:
    with tunnel(sweeper, hub) as ends:
        first, second = (ends.client, ends.backend) if who == "client" else (ends.backend, ends.client)
        first.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")
        first.close()
        with contextlib.suppress(ConnectionResetError):
            assert read_all(second) == b""
        wait_until(ends.is_over)


def test_silence_ends_it(sweeper: Sweeper, hub: Any) -> None:
    with tunnel(sweeper, hub, silence_s=0.03) as ends:
        assert read_all(ends.client) == read_all(ends.backend) == b""
        wait_until(ends.is_over)


def test_silence_after_one_side_has_ended(sweeper: Sweeper, hub: Any) -> None:
    with tunnel(sweeper, hub, silence_s=0.03) as ends:
        ends.client.shutdown(1)
        wait_until(ends.is_over)
        assert read_all(ends.backend) == b""


@pytest.mark.parametrize("who", ["client", "backend"])
def test_as_long_as_one_side_speaks_it_is_not_silent(who: str, sweeper: Sweeper, hub: Any) -> None:
    with tunnel(sweeper, hub, silence_s=0.2) as ends:
        first, second = (ends.client, ends.backend) if who == "client" else (ends.backend, ends.client)
        for _ in range(9):
            first.sendall(b"x")
            assert read_exactly(second, 1) == b"x"
            gevent.sleep(0.03)
        assert not ends.is_over()


# --- one that does not read


@contextlib.contextmanager
def held_up(ends: Ends, who: str) -> Iterator[tuple[Any, Any]]:
    """``who`` has been sent more than all buffers hold and does not read. Gives it and the other, whose writer ends."""
    stuck, other = (ends.client, ends.backend) if who == "client" else (ends.backend, ends.client)
    writer = gevent.spawn(other.sendall, BIG * 8)
    wait_until(lambda: ends.tunnel._sending and ends.tunnel.sent + ends.tunnel.received > PIECE_BYTES)
    yield stuck, other
    writer.kill()


@pytest.mark.parametrize("who", ["client", "backend"])
def test_one_that_does_not_read_is_no_silence_while_it_speaks(who: str, sweeper: Sweeper, hub: Any) -> None:
    """It may be held up for longer than either time."""
    with tunnel(sweeper, hub, silence_s=1.0, blocked_s=1.0) as ends, held_up(ends, who) as (stuck, other):
        for _ in range(15):
            stuck.sendall(b"x")
            assert read_exactly(other, 1) == b"x"
            gevent.sleep(0.1)
        assert not ends.is_over()


@pytest.mark.parametrize("who", ["client", "backend"])
def test_one_that_does_not_read_is_cut_once_nothing_moves(who: str, sweeper: Sweeper, hub: Any) -> None:
    """Long before silence would end it."""
    with tunnel(sweeper, hub, blocked_s=0.1) as ends, held_up(ends, who):
        wait_until(ends.is_over)


def test_a_side_that_is_free_again_has_the_time_of_silence(sweeper: Sweeper, hub: Any) -> None:
    with tunnel(sweeper, hub, blocked_s=0.1) as ends:
        ends.backend.sendall(b"hello")
        assert read_exactly(ends.client, 5) == b"hello"
        gevent.sleep(0.3)  # longer than a reader may be stuck: nobody is
        assert not ends.is_over()


class Dribbling(Stream):
    """Its peer takes a piece in steps, with pauses."""

    def send(self, data: Any) -> None:
        for _ in range(15):
            gevent.sleep(0.1)
            self.on_progress()
        super().send(data)


def test_a_piece_that_goes_out_bit_by_bit_moves(sweeper: Sweeper, hub: Any) -> None:
    with tunnel(sweeper, hub, blocked_s=1.0, backend=Dribbling) as ends:
        ends.client.sendall(b"hello")
        assert read_exactly(ends.backend, 5) == b"hello"
        assert not ends.is_over()
