"""Three backends that say who they are: ``A``, ``B``, ``C``, in processes of their own."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lb.supervisor.spawn import Program, spawn
from tests.support.ports import free_ports
from tests.support.waiting import wait_for

LETTERS = "ABC"


@contextmanager
def lettered_backends() -> Iterator[list[int]]:
    """Their ports."""
    ports = free_ports(len(LETTERS))
    pids = [
        spawn(Program((sys.executable, "-m", "tests.support.lettered_backend", str(port), letter), os.environ))
        for port, letter in zip(ports, LETTERS, strict=True)
    ]
    try:
        for port in ports:
            wait_for("a backend", lambda port=port: _answers(port))  # type: ignore[misc]
        yield ports
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def is_in_order(taken: str) -> bool:
    first = LETTERS.index(taken[0])
    return all(letter == LETTERS[(first + i) % len(LETTERS)] for i, letter in enumerate(taken))
