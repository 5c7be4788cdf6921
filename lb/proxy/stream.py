"""A non-blocking socket on the gevent hub, without gevent's socket wrapper on the way.

One read watcher per connection is started once and stays: no epoll call per wait. Its callback
resumes the greenlet that waits; if nobody waits, it disarms itself and tells the connection
(``on_unexpected``): that is how an idle backend's close or a client that leaves is noticed for free.
TLS is a layer in it (``start_tls``): the same methods then give and take plaintext.
Not thread-safe: a stream belongs to the hub it was made on.
"""

from __future__ import annotations

import _socket
import errno
import os
import socket as constants
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from greenlet import getcurrent, greenlet

from lb.errors import NothingSent
from lb.proxy.tls import WRITE_BYTES, TlsLayer

READ: Final = 1
WRITE: Final = 2
_switch: Final = greenlet.switch.__get__
"""To the hub without gevent's own ``Hub.switch``, which asks each greenlet for a ``switch_out`` that ours do not have."""
RECV_BYTES: Final = 16 * 1024
BULK_BYTES: Final = 64 * 1024
"""Of a body at a time: all that a worker holds for one who does not read. Pieces of 128 and 256 KiB cost as much
processor time per byte, or more."""
TURN_S: Final = 0.005
"""Nor longer than this at a time: what a piece costs is its sender's choice (chunks of one byte: 12 ms in 128 KiB)."""
TURN_MASK: Final = 7
"""``not count & TURN_MASK``: every eighth piece or request that nobody had to wait for, ``let_others``."""


class Stream:
    """``recv_now(n)`` and ``send_now(data)`` do not wait (BlockingIOError); ``recv`` and ``send`` do.

    ``recv`` returns ``b""`` at the peer's end. Errors of the connection are ``OSError``.
    """

    __slots__ = (
        "_armed",
        "_hub",
        "_to_hub",
        "_waiter",
        "_watcher",
        "fd",
        "is_closed",
        "on_moved",
        "recv_now",
        "send_now",
        "sock",
        "tls",
    )

    recv_now: Callable[[int], bytes]
    send_now: Callable[[Any], int]

    def __init__(self, sock: _socket.socket, hub: Any) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.recv_now = sock.recv
        self.send_now = sock.send
        self.tls: TlsLayer | None = None
        self.is_closed = False
        self.on_moved: Callable[[], None] | None = None
        self._hub = hub
        self._to_hub = _switch(hub)
        self._waiter: greenlet | None = None
        self._armed = False
        self._watcher = hub.loop.io(self.fd, READ)

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "waited for" if self._waiter else "armed" if self._armed else "quiet"
        return f"<{type(self).__name__} fd={self.fd} {state}>"

    @property
    def is_disarmed(self) -> bool:
        """Whether nobody would notice its becoming readable: it was never armed, or it became so while nobody read."""
        return not self._armed

    def arm(self) -> None:
        """From now on ``on_unexpected`` tells of readability while nobody waits."""
        if not self._armed:
            self._armed = True
            self._watcher.start(self._readable)

    def disarm(self) -> None:
        if self._armed:
            self._armed = False
            self._watcher.stop()

    def _readable(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            waiter.switch()
        else:
            self.on_unexpected()

    def on_unexpected(self) -> None:
        """Readable while nobody waits. Runs on the hub: must not switch or block."""
        self.disarm()

    def on_progress(self) -> None:
        """Some of what had to wait has been sent: a deadline for silence may start anew. ``on_moved`` is who asked."""
        if self.on_moved is not None:
            self.on_moved()

    def wait_readable(self) -> None:
        self._waiter = getcurrent()
        if not self._armed:
            self._armed = True
            self._watcher.start(self._readable)
        try:
            self._to_hub()
        except BaseException:
            self._waiter = None
            raise

    def let_others(self) -> None:
        """One turn for everybody else. A loop that never waits, because its peer is always as quick as we are, calls
        it now and then: else nobody on this hub would be served, no deadline kept, and the watchdog end it."""
        timer = self._hub.loop.timer(0)  # no callback: up to fifty of those run before the sockets are looked at
        timer.start(getcurrent().switch)
        try:
            self._to_hub()
        finally:
            timer.stop()
            timer.close()

    def recv(self, size: int = RECV_BYTES) -> bytes:
        while True:
            try:
                return self.recv_now(size)
            except BlockingIOError:
                self.wait_readable()

    def recv_later(self, size: int = RECV_BYTES) -> bytes:
        """As ``recv``, for data that cannot be there yet: waits first and saves a failing call.
        With TLS decrypted bytes may be here already: never waits first."""
        if self.tls is None:
            self.wait_readable()
        return self.recv(size)

    def send(self, data: bytes | memoryview) -> None:
        """Sends all of it; waits while the peer does not read. NothingSent, or any other OSError: not all of it."""
        if self.tls is not None:
            self._send_encrypted(self.tls, memoryview(data))
            return
        try:
            sent = self.send_now(data)
        except BlockingIOError:
            sent = 0
        except ConnectionError as error:
            raise NothingSent(*error.args) from error
        if sent != len(data):
            self._send_rest(memoryview(data)[sent:])

    def _send_rest(self, rest: memoryview) -> None:
        while rest:
            self.wait_writable()
            try:
                sent = self.send_now(rest)
            except BlockingIOError:
                continue
            rest = rest[sent:]
            self.on_progress()

    def wait_writable(self) -> None:
        watcher = self._hub.loop.io(self.fd, WRITE)
        watcher.start(getcurrent().switch)
        try:
            self._hub.switch()
        finally:
            watcher.stop()
            watcher.close()

    def peek_closed(self) -> bool:
        """Whether the peer has closed its sending side and nothing is left to read."""
        try:
            return not self.sock.recv(1, constants.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def is_quiet(self) -> bool:
        """Whether there is nothing to read, not even an end: asks the kernel."""
        try:
            self.sock.recv(1, constants.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    # --- TLS

    def start_tls(self, context: ssl.SSLContext, server_name: str | None = None, *, received: bytes = b"") -> None:
        """Handshake under the caller's deadline; ssl.SSLError (an OSError) or ValueError if it fails.

        ``server_name`` None: we are the server. ``received``: bytes of it that were read already.
        """
        layer = self.tls = TlsLayer(self.sock, context, server_name, received)
        try:
            while not layer.handshake_step():
                self._flush(layer)
                self._feed(layer)
        finally:
            layer.flush_now()
        self._flush(layer)
        self.recv_now = layer.recv_now
        self.send_now = layer.send_now

    def _feed(self, layer: TlsLayer) -> None:
        while True:
            try:
                layer.feed()
                return
            except BlockingIOError:
                self.wait_readable()

    def _flush(self, layer: TlsLayer) -> None:
        left = -1
        while not layer.flush_now():
            if left >= 0 and len(layer.pending) != left:
                self.on_progress()
            left = len(layer.pending)
            self.wait_writable()

    def _send_encrypted(self, layer: TlsLayer, rest: memoryview) -> None:
        while rest:
            layer.encrypt(rest[:WRITE_BYTES])
            self._flush(layer)
            rest = rest[WRITE_BYTES:]

    # --- the end

    def end_writing(self) -> None:
        """Tells the peer that no more comes; reading goes on."""
        if self.tls is not None:
            self.tls.say_goodbye()
        try:
            self.sock.shutdown(constants.SHUT_WR)
        except OSError:
            return

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            if self.tls is not None:
                self.tls.say_goodbye()
            self.disarm()
            self._watcher.close()
            self.sock.close()

    def reset(self) -> None:
        """Closes with RST and without close_notify, so that a cut answer cannot look complete."""
        self.tls = None
        if not self.is_closed:
            with suppress(OSError):
                self.sock.setsockopt(constants.SOL_SOCKET, constants.SO_LINGER, struct.pack("ii", 1, 0))
            self.close()


class Readable(Protocol):
    """What can be waited for together with a backend: a client's stream, or what reads like one."""

    _waiter: greenlet | None

    @property
    def recv_now(self) -> Callable[[int], bytes]: ...
    def arm(self) -> None: ...


def wait_either(backend: Stream, client: Readable | None) -> None:
    """Waits until ``backend`` can be read, or ``client`` can; without a client: or ``backend`` written.

    The caller finds out which by trying.
    """
    me = getcurrent()
    writable = None
    if client is not None:
        client._waiter = me
        client.arm()
    else:
        writable = backend._hub.loop.io(backend.fd, WRITE)
        writable.start(me.switch)
    try:
        backend.wait_readable()
    finally:
        backend._waiter = None
        if client is not None:
            client._waiter = None
        if writable is not None:
            writable.stop()
            writable.close()


def connect(hub: Any, family: int, address: Any) -> _socket.socket:
    """A connected non-blocking socket; OSError says why not. Waits under the caller's deadline."""
    sock = _socket.socket(family, constants.SOCK_STREAM | constants.SOCK_NONBLOCK | constants.SOCK_CLOEXEC)
    try:
        if family != constants.AF_UNIX:
            sock.setsockopt(constants.IPPROTO_TCP, constants.TCP_NODELAY, 1)
        code = sock.connect_ex(address)
        if code == errno.EINPROGRESS:
            watcher = hub.loop.io(sock.fileno(), WRITE)
            watcher.start(getcurrent().switch)
            try:
                hub.switch()
            finally:
                watcher.stop()
                watcher.close()
            code = sock.getsockopt(constants.SOL_SOCKET, constants.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock
