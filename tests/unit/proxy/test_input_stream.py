"""A WSGI server's input, waited for together with a backend, and never read by two."""

from __future__ import annotations

import io
from typing import Any

import gevent
import pytest
from gevent.event import Event

from lb.proxy.deadlines import Deadline, Expired
from lb.proxy.input_stream import InputStream
from lb.proxy.stream import Stream, wait_either
from tests.support.scripted import pair


class Slow:
    """Gives its one piece when it is let."""

    def __init__(self) -> None:
        self.may_go_on = Event()
        self.reads = 0
        self.was_broken_off = False

    def read(self, size: int) -> bytes:
        self.reads += 1
        try:
            self.may_go_on.wait()
        except BaseException:
            self.was_broken_off = True
            raise
        return b"piece"


def now(stream: InputStream, size: int = 100) -> bytes:
    """The next piece of an input that never blocks."""
    with pytest.raises(BlockingIOError):
        stream.recv_now(size)
    gevent.sleep(0)
    return stream.recv_now(size)


def test_pieces_and_the_end() -> None:
    stream = InputStream(io.BytesIO(b"hello world"))
    assert [now(stream, 6) for _ in range(3)] == [b"hello ", b"world", b""]


def test_what_a_server_fails_with_is_told_to_who_asks() -> None:
    stream = InputStream(None)
    with pytest.raises(AttributeError):
        now(stream)


@pytest.mark.parametrize("comes", ["piece", "answer"])
def test_a_piece_or_an_answer_whichever_comes_first(comes: str, hub: Any) -> None:
    source = Slow()
    stream = InputStream(source)
    with pair() as (ours, backend):
        connection = Stream(ours, hub)
        with pytest.raises(BlockingIOError):
            stream.recv_now(100)
        gevent.spawn_later(0.01, *((source.may_go_on.set,) if comes == "piece" else (backend.sendall, b"413")))
        wait_either(connection, stream)
        assert stream.is_reading is (comes == "answer")
        assert (stream.recv_now(100) if comes == "piece" else connection.recv_now(100)) in (b"piece", b"413")
        connection.disarm()
        source.may_go_on.set()
        stream.settle()


def test_a_deadline_does_not_break_a_read_off(deadline: Deadline, hub: Any) -> None:
    source = Slow()
    stream = InputStream(source)
    with pair() as (ours, _):
        connection = Stream(ours, hub)
        with pytest.raises(BlockingIOError):
            stream.recv_now(100)
        deadline.set(0.0, "body_timeout")
        with pytest.raises(Expired):
            wait_either(connection, stream)
        connection.disarm()
    gevent.spawn_later(0.01, source.may_go_on.set)
    stream.settle()
    assert (source.reads, source.was_broken_off, stream.is_reading) == (1, False, False)


def test_nobody_reads_until_asked_and_then_once() -> None:
    source = Slow()
    stream = InputStream(source)
    gevent.sleep(0)
    assert source.reads == 0
    for _ in range(3):
        with pytest.raises(BlockingIOError):
            stream.recv_now(100)
        gevent.sleep(0)
    assert source.reads == 1
    source.may_go_on.set()
    stream.settle()
    stream.settle()
    assert stream.recv_now(100) == b"piece"
