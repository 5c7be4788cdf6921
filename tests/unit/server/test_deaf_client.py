"""Clients that do not read their answers, and those that only read slowly."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from lb.server.deaf_client import DeafClient
from tests.support.scripted import raw, tcp_pair

WRITE_S = 0.3


@contextlib.contextmanager
def pair() -> Iterator[tuple[Any, Any]]:
    """A server's end, which does not wait, and its client's."""
    with tcp_pair() as (server, client):
        ours = raw(server)
        yield ours, client
        ours.close()


def fill(sock: Any) -> None:
    """What its kernels take."""
    with pytest.raises(BlockingIOError):
        while True:
            sock.send(bytes(65536))


def is_cut(deaf: DeafClient) -> bool:
    assert deaf._watcher is not None
    return deaf._watcher.dead


def test_who_does_not_read_is_cut() -> None:
    with pair() as (ours, _):
        fill(ours)
        deaf = DeafClient(ours, WRITE_S)
        deaf.is_writing = True
        gevent.sleep(WRITE_S / 2)
        assert not is_cut(deaf)
        with gevent.Timeout(10):
            while not is_cut(deaf):
                gevent.sleep(0.01)
        with pytest.raises(OSError):
            ours.send(b"more")


def test_who_reads_slowly_is_not() -> None:
    with pair() as (ours, theirs):
        deaf = DeafClient(ours, WRITE_S)
        deaf.is_writing = True
        for _ in range(30):
            ours.send(b"a little")
            assert theirs.recv(100) == b"a little"
            gevent.sleep(WRITE_S / 10)
        assert not is_cut(deaf)
        deaf.leave()


def test_nor_who_waits_for_the_backend() -> None:
    with pair() as (ours, _):
        deaf = DeafClient(ours, WRITE_S)
        gevent.sleep(3 * WRITE_S)
        assert not is_cut(deaf)
        deaf.leave()


def test_without_a_socket_nobody_is_watched() -> None:
    deaf = DeafClient(None, WRITE_S)
    deaf.is_writing = True
    deaf.leave()
