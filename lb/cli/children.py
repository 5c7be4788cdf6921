"""Processes that one command starts, watches and takes down again. Knows nothing of what they are."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lb.supervisor.reaper import signal_name

PR_SET_PDEATHSIG = 1
POLL_S = 0.05
_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Child:
    """A started process. It is looked at without being reaped: until ``stop`` its number stays
    taken, as a session's too, so that a late signal cannot reach a stranger."""

    name: str
    process: subprocess.Popen[bytes]

    @property
    def is_running(self) -> bool:
        return self._ended() is None

    @property
    def ending(self) -> str:
        """How it ended, for people."""
        ended = self._ended()
        if ended is None:
            return "still runs"
        if ended.si_code == os.CLD_EXITED:
            return f"ended with exit code {ended.si_status}"
        return f"ended by {signal_name(ended.si_status)}"

    def _ended(self) -> os.waitid_result | None:
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)


def start(name: str, command: Sequence[str], environ: Mapping[str, str]) -> Child:
    """Runs ``command`` in a session of its own, so that a Ctrl-C reaches only us and we decide the
    order of the end. The kernel ends it with SIGTERM should we be killed (Linux)."""
    process = subprocess.Popen(command, env=environ, start_new_session=True, preexec_fn=_end_with_parent)
    return Child(name, process)


def _end_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def stop(children: Sequence[Child], *, within_s: float) -> None:
    """SIGTERM to all, after ``within_s`` SIGKILL to what is left of them. Blocks; call it once."""
    for child in children:
        if child.is_running:
            os.kill(child.process.pid, signal.SIGTERM)  # Popen's own would reap it
    deadline = time.monotonic() + within_s
    while any(child.is_running for child in children) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    for child in children:
        _kill_session(child.process.pid)
        child.process.wait()


def _kill_session(leader: int) -> None:
    """What a child started goes with it, in whichever process group, even after its own end."""
    for name in os.listdir("/proc"):
        with contextlib.suppress(ProcessLookupError):
            if name.isdecimal() and os.getsid(int(name)) == leader:
                os.kill(int(name), signal.SIGKILL)
