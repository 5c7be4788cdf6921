"""A network of a test's own: loopback only, with a firewall that nobody else is behind.

A thread that has entered it makes its sockets and processes there, and so do the threads that it
starts. Nothing is left behind: the kernel drops the namespace with its last socket and process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator

CLONE_NEWNET = 0x40000000
"""Of sched.h."""
_libc = ctypes.CDLL(None, use_errno=True)

Packets = tuple[str, ...]
"""Which ones a rule is about, in iptables' words."""


class PrivateNetwork:
    """``ip`` and ``iptables`` are the programs' paths. PermissionError without CAP_SYS_ADMIN."""

    def __init__(self, ip: str, iptables: str) -> None:
        self._iptables = iptables
        with _coming_home():
            _check(_libc.unshare(CLONE_NEWNET))
            self._fd = _current()
            _run(ip, "link", "set", "lo", "up")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is there for as long as the block lasts."""
        with _coming_home():
            _check(_libc.setns(self._fd, CLONE_NEWNET))
            yield

    @contextlib.contextmanager
    def dropping(self, *packets: Packets) -> Iterator[None]:
        """They vanish on their way: nobody is told. Call it inside."""
        with self._rules(packets, "DROP"):
            yield

    @contextlib.contextmanager
    def resetting(self, *packets: Packets) -> Iterator[None]:
        """Each is answered by an RST. Call it inside."""
        with self._rules(packets, "REJECT", "--reject-with", "tcp-reset"):
            yield

    def close(self) -> None:
        os.close(self._fd)

    @contextlib.contextmanager
    def _rules(self, packets: tuple[Packets, ...], *target: str) -> Iterator[None]:
        with contextlib.ExitStack() as undo:
            for matched in packets:
                rule = ("INPUT", "--protocol", "tcp", *matched, "--jump", *target)
                _run(self._iptables, "--wait", "--append", *rule)
                undo.callback(_run, self._iptables, "--wait", "--delete", *rule)
            yield


def to_port(port: int) -> Packets:
    return ("--dport", str(port))


def from_port(port: int) -> Packets:
    return ("--sport", str(port))


def _current() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextlib.contextmanager
def _coming_home() -> Iterator[None]:
    """Back where this thread is now, whatever it enters meanwhile."""
    home = _current()
    try:
        yield
    finally:
        _check(_libc.setns(home, CLONE_NEWNET))
        os.close(home)


def _check(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
