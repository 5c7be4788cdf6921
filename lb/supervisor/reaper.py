"""Collecting dead children: ours by pid, and as process 1 of a container also everybody's orphans."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator


def reap(pids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(pid, wait status) of every one of ``pids`` that has ended. Never blocks.

    As process 1 also of strangers: workers of a killed arbiter become our children then.
    """
    for pid in pids:
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # somebody else's, or long gone: it cannot come back
            ended, status = pid, 0
        if ended:
            yield pid, status
    if os.getpid() == 1:
        yield from _orphans()


def _orphans() -> Iterator[tuple[int, int]]:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        yield pid, status


def describe(status: int) -> str:
    """How a process ended, for a log line."""
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else signal_name(-code)


def signal_name(number: int) -> str:
    """Real-time signals but the first and the last have none of their own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
