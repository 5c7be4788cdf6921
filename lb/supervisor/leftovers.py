"""Processes that a killed supervisor left behind: they go on serving, and hold the ports.

Found by the environment it gave them. Best effort, for an error message only: what belongs to
another user cannot be read.
"""

from __future__ import annotations

import contextlib
import os

from lb.supervisor.readiness import parent_of

Environ = frozenset[bytes]


def left_over(state_dir: str) -> list[int]:
    """The arbiters among them, oldest pid first; their workers end with them. Only to be asked while no
    supervisor but this one has ``state_dir``."""
    from lb.state.publish import snapshot_path  # here: only a start that failed needs it

    marks = f"LB_SNAPSHOT={snapshot_path(state_dir)}".encode(), b"LB_RUN_PID="
    ours = f"LB_RUN_PID={os.getpid()}".encode()
    environs = {pid: environ for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if (environ := _read(pid))}
    return arbiters({pid for pid, environ in environs.items() if _is_left(environ, marks, ours)})


def advice(pids: list[int]) -> str:
    """What to tell the operator; empty if there are none."""
    if not pids:
        return ""
    numbers = [str(pid) for pid in pids]
    are = "is" if len(pids) == 1 else "are"
    return f"pid {' and '.join(numbers)} {are} left over from a killed lb run; `kill -TERM {' '.join(numbers)}` ends it"


def arbiters(pids: set[int]) -> list[int]:
    """Those whose parent is not one of them."""
    return sorted(pid for pid in pids if parent_of(pid) not in pids)


def _is_left(environ: Environ, marks: tuple[bytes, bytes], ours: bytes) -> bool:
    snapshot, run = marks
    return snapshot in environ and ours not in environ and any(entry.startswith(run) for entry in environ)


def _read(pid: int) -> Environ:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
        return frozenset(file.read().split(b"\0"))
    return frozenset()
