"""Taking connections off a listening socket, evenly over the workers.

All workers wait on the same socket, and the kernel tends to wake the same one first. So a worker
that has clearly more open connections than its share leaves new ones alone for a few milliseconds;
if nobody else has taken them by then, it does.
"""

from __future__ import annotations

import _socket
import errno
import logging
import resource
import socket as constants
from typing import Any

from lb.proxy.connection import Entrance
from lb.proxy.front import Front
from lb.proxy.stream import READ
from lb.server.runtime import Runtime

_BATCH = 16
_LAST_BATCH = 2048
"""Of gunicorn's backlog: more cannot wait."""
_YIELD_S = 0.003
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_OUT_OF_DESCRIPTORS_PAUSE_S = 0.2
_FULL_PAUSE_S = 0.1
USER_TIMEOUT_MS = 30_000
KEEPALIVE_IDLE_S = 15
KEEPALIVE_INTERVAL_S = 5
"""Between probes, and so between looks at the user timeout: the system's 75 s would be its real value."""
UNSENT_BYTES = 128 * 1024
"""Most that the kernel holds for a client that does not read: else it is megabytes, and a slow reader's
progress shows only every third of that."""
_log = logging.getLogger("lb.accept")


class Acceptor:
    """Belongs to one listening socket of one worker."""

    def __init__(self, listening: Any, front: Front, entrance: Entrance, runtime: Runtime) -> None:
        self._front = front
        self._entrance = entrance
        self._runtime = runtime
        self._sock = _socket.socket(fileno=constants.dup(listening.fileno()))
        self._sock.setblocking(False)
        self._is_tcp = self._sock.family in (constants.AF_INET, constants.AF_INET6)
        if self._is_tcp:
            _inherit_options(self._sock)
        self._watcher = front.hub.loop.io(self._sock.fileno(), READ)
        self._pause = front.hub.loop.timer(_YIELD_S)
        self._yielded = False
        self._most = most_connections()

    def start(self) -> None:
        self._watcher.start(self._ready)

    def stop(self) -> None:
        """Takes those who wait in the kernel's queue, to whom a close of the last one's socket would be a reset.
        Whoever shares the socket goes on with it."""
        self._watcher.stop()
        self._pause.stop()
        for _ in range(_LAST_BATCH):
            try:
                self._take(*self._sock._accept())  # type: ignore[attr-defined]
            except OSError:
                break
        self._sock.close()

    def _ready(self) -> None:
        if len(self._front.open) >= self._most:
            self._rest(_FULL_PAUSE_S)
            return
        if not self._yielded and self._has_more_than_its_share():
            self._yielded = True
            self._rest(_YIELD_S)
            return
        batch = 1 if self._yielded else _BATCH
        self._yielded = False
        for _ in range(batch):
            try:
                fd, address = self._sock._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return
            except OSError as error:
                self._accept_failed(error)
                return
            self._take(fd, address)
            if self._has_more_than_its_share():
                return

    def _take(self, fd: int, address: Any) -> None:
        sock = _socket.socket(fileno=fd)
        sock.setblocking(False)
        self._front.accept(sock, self._peer(address), self._entrance)

    def _peer(self, address: Any) -> bytes:
        if not self._is_tcp:
            return b""
        host: str = address[0]
        if host.startswith("::ffff:") and "." in host:
            host = host[7:]
        return host.partition("%")[0].encode("ascii")

    def _has_more_than_its_share(self) -> bool:
        cells = self._runtime.worker_cells
        mine = cells.inflight[cells.slot]
        workers = self._runtime.snapshot.config.workers
        if workers < 2:
            return False
        total = sum(cells.inflight)
        return mine > total / workers + 1

    def _accept_failed(self, error: OSError) -> None:
        if error.errno in _NO_DESCRIPTORS or error.errno not in (errno.ECONNABORTED, errno.EINTR, errno.EPROTO):
            _log.error("listener=%s accept=%s", self._entrance.id, error)
            self._rest(_OUT_OF_DESCRIPTORS_PAUSE_S)

    def _rest(self, seconds: float) -> None:
        self._watcher.stop()
        self._pause.stop()
        self._pause = self._front.hub.loop.timer(seconds)
        self._pause.start(self.start)


def most_connections() -> int:
    """Client connections one worker takes: four fifths of its descriptors, the rest is for backends and
    files. More wait in the kernel's queue instead of failing here."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, soft * 4 // 5)


def _inherit_options(sock: Any) -> None:
    """Set once here, accepted sockets have them too: no Nagle delay, and a peer that vanished is noticed."""
    sock.setsockopt(constants.IPPROTO_TCP, constants.TCP_NODELAY, 1)
    sock.setsockopt(constants.IPPROTO_TCP, constants.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    sock.setsockopt(constants.SOL_SOCKET, constants.SO_KEEPALIVE, 1)
    sock.setsockopt(constants.IPPROTO_TCP, constants.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    sock.setsockopt(constants.IPPROTO_TCP, constants.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    sock.setsockopt(constants.IPPROTO_TCP, constants.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
