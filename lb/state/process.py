"""Is the process that wrote its pid here still that process?

A pid alone is reused by the kernel; pid and start time together name one process for good. Knows
/proc and nothing of segments. Linux only; both sides must live in the same pid namespace.
"""

from __future__ import annotations

RUN_PID = "LB_RUN_PID"
"""Environment of everything that ``lb run`` starts: its pid."""
_STATE, _START = 0, 19
"""Positions behind the command name in /proc/PID/stat: fields 3 and 22 of proc(5)."""


def start_ticks(pid: int) -> int | None:
    """Start time of a running process in clock ticks after boot; None if it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()  # the name before ")" may hold anything
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[_STATE] in (b"Z", b"X"):
        return None  # killed but not yet waited for: it will never write again
    return int(fields[_START])


def is_running(pid: int, start: int) -> bool:
    """Whether ``pid`` is still the process that started at ``start``. A stopped one is running, and so is
    one that we cannot look at just now: out of descriptors, say."""
    try:
        return start_ticks(pid) == start
    except OSError:
        return True
