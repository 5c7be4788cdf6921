"""The listening sockets, opened once and held for as long as any configuration wants them.

Whoever serves them comes and goes; the kernel's queue of a held socket does not, so nobody is
refused while an arbiter is replaced. Knows nothing of processes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterable

from lb.supervisor import log
from lb.supervisor.addresses import CONTROL, Bind, split_host_port
from lb.supervisor.holder import who_listens

BACKLOG = 2048
NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class BindError(Exception):
    """A socket that cannot be had; the text names listener, address and why, for the operator."""


class Held:
    """Open listening sockets by address. Single-threaded; every call is quick."""

    def __init__(self) -> None:
        self._sockets: dict[str, socket.socket] = {}
        self._not_ours_to_unlink: set[str] = set()

    def adopt(self, address: str, fd: int, *, unlink: bool) -> None:
        """Hold an inherited socket. ``unlink``: whether its path is ours to remove (systemd's is not)."""
        os.set_inheritable(fd, False)
        self._sockets[address] = socket.socket(fileno=fd)
        if not unlink:
            self._not_ours_to_unlink.add(address)

    def ensure(self, wanted: Iterable[Bind]) -> tuple[Bind, ...]:
        """Bind and listen on what is not held yet; all or nothing. Returns the binds that are held now:
        ``[::]`` on a machine without IPv6 is left out. BindError names the first that failed."""
        new: list[str] = []
        have: list[Bind] = []
        try:
            for bind in wanted:
                if bind.address not in self._sockets:
                    if (sock := _listen(bind)) is None:
                        log.warning("bind_skipped", listener=bind.listener, address=bind.address, reason="no IPv6 here")
                        continue
                    self._sockets[bind.address] = sock
                    new.append(bind.address)
                have.append(bind)
        except BindError:
            self.release(new)
            raise
        return tuple(have)

    def fds(self, binds: Iterable[Bind]) -> list[int]:
        return [self._sockets[bind.address].fileno() for bind in binds]

    def url(self, bind: Bind, scheme: str) -> str:
        """Where people find it, with the real port where port 0 was asked for."""
        return url_of(self._sockets[bind.address], scheme)

    def keep_only(self, addresses: set[str]) -> None:
        self.release([address for address in self._sockets if address not in addresses])

    def release(self, addresses: Iterable[str]) -> None:
        """Close, and remove the paths of unix sockets: first the path, so that whoever starts next and
        finds none has not found ours."""
        for address in list(addresses):
            sock = self._sockets.pop(address, None)
            if sock is None:
                continue
            if address.startswith("unix:") and address not in self._not_ours_to_unlink:
                with contextlib.suppress(OSError):
                    os.unlink(address.removeprefix("unix:"))
            sock.close()

    def hand_out(self, bind: Bind) -> int:
        """Let go of a socket without closing it: its inheritable fd is the caller's."""
        fd = self._sockets.pop(bind.address).detach()
        os.set_inheritable(fd, True)
        return fd

    def has(self, address: str) -> bool:
        return address in self._sockets

    def as_dict(self) -> dict[str, list[object]]:
        """Address to [fd, whether to unlink], for the next image of this process."""
        return {
            address: [sock.fileno(), address not in self._not_ours_to_unlink] for address, sock in self._sockets.items()
        }


def url_of(sock: socket.socket, scheme: str) -> str:
    """The address a socket is bound to, as people write it."""
    if sock.family == socket.AF_UNIX:
        return f"unix:{sock.getsockname()}"
    host, port = sock.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _listen(bind: Bind) -> socket.socket | None:
    """A listening socket, or None for ``[::]`` where there is no IPv6."""
    try:
        if bind.address.startswith("unix:"):
            return _listen_unix(bind.address.removeprefix("unix:"), private=bind.listener == CONTROL)
        return _listen_tcp(*split_host_port(bind.address))
    except OSError as failure:
        if bind.address.startswith("[::]:") and failure.errno in NO_IPV6:
            return None
        raise BindError(_explain(bind, failure)) from failure
    except ValueError as failure:
        raise BindError(f"listener {bind.listener}: cannot bind {bind.address}: {failure}") from failure


def _listen_tcp(host: str, port: int) -> socket.socket:
    family, kind, _, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # so that [::]:P stands beside 0.0.0.0:P
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _listen_unix(path: str, *, private: bool) -> socket.socket:
    """``private``: only our own user may connect; other unix listeners are open as a TCP port is."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177 if private else 0o111)
    try:
        sock.bind(path)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def _remove_stale(path: str) -> None:
    """Remove a socket that a dead process left. EADDRINUSE if somebody answers, or it is no socket."""
    try:
        is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise OSError(errno.EADDRINUSE, "there is a file of that name which is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        result = probe.connect_ex(path)
    if result != errno.ECONNREFUSED:  # 0 and EAGAIN (its queue is full): somebody is there
        raise OSError(result or errno.EADDRINUSE, os.strerror(result or errno.EADDRINUSE))
    os.unlink(path)


def _explain(bind: Bind, failure: OSError) -> str:
    text = f"listener {bind.listener}: cannot bind {bind.address}: {failure.strerror or failure}"
    if failure.errno == errno.EACCES and not bind.address.startswith("unix:"):
        return f"{text} (a port this low takes CAP_NET_BIND_SERVICE: AmbientCapabilities= in the unit, or setcap)"
    holders = who_listens(bind.address) if failure.errno == errno.EADDRINUSE else ""
    return f"{text} ({holders})" if holders else text
