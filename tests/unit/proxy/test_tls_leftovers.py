"""What a TLS backend says behind its answer: the kernel does not know of it, but we must."""

from __future__ import annotations

import contextlib
import ssl
from types import SimpleNamespace
from typing import Any

from lb.proxy.member import BackendConnection
from lb.proxy.tls import TlsLayer


class Fed:
    """A socket that gives what it was fed, and takes everything."""

    def __init__(self) -> None:
        self.data = b""
        self.taken = b""

    def recv(self, size: int) -> bytes:
        if not self.data:
            raise BlockingIOError
        data, self.data = self.data[:size], self.data[size:]
        return data

    def send(self, data: Any) -> int:
        self.taken += bytes(data)
        return len(data)


def shaken(tmp_path_factory: Any) -> tuple[TlsLayer, Fed, ssl.SSLObject, ssl.MemoryBIO]:
    from tests.support.certificates import self_signed

    cert, key = self_signed(tmp_path_factory.mktemp("tls"), "one.test")
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(cert, key)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(incoming, outgoing, True)
    sock = Fed()
    layer = TlsLayer(sock, ssl.create_default_context(cafile=cert), "one.test", b"")
    for _ in range(4):
        if layer.handshake_step():
            layer.flush_now()
        layer.flush_now()
        incoming.write(sock.taken)
        sock.taken = b""
        with contextlib.suppress(ssl.SSLWantReadError):
            server.do_handshake()
        sock.data += outgoing.read()
        if sock.data:
            layer.feed()
    return layer, sock, server, outgoing


def test_a_second_record_in_the_same_segment_is_a_leftover(tmp_path_factory: Any) -> None:
    layer, sock, server, outgoing = shaken(tmp_path_factory)
    server.write(b"first")
    server.write(b"EVIL")
    sock.data = outgoing.read()
    assert layer.recv_now(1000) == b"first"
    assert layer.has_more
    connection = SimpleNamespace(tls=layer, is_disarmed=False)
    assert BackendConnection.has_leftovers(connection)  # type: ignore[arg-type]


def test_an_end_without_close_notify_is_told_apart(tmp_path_factory: Any) -> None:
    layer, sock, server, outgoing = shaken(tmp_path_factory)
    server.write(b"part")
    sock.data = outgoing.read()
    assert layer.recv_now(1000) == b"part"
    assert not layer.has_more
    sock.recv = lambda size: b""  # type: ignore[method-assign]
    layer._recv = sock.recv
    assert layer.recv_now(1000) == b""
    assert layer.was_cut
