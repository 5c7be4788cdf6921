from __future__ import annotations

import os
import signal
import subprocess
import sys

from lb.supervisor.reaper import describe, reap


def test_only_those_that_ended_are_collected_and_only_once() -> None:
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    dead = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    ended = dict(reap([living.pid, dead.pid]))
    assert list(ended) == [dead.pid]
    assert describe(ended[dead.pid]) == "exit code 3"
    dead.returncode = 3
    living.communicate(b"\n")


def test_a_child_that_somebody_else_collected_counts_as_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert list(reap([process.pid])) == [(process.pid, 0)]


def test_a_signal_is_named() -> None:
    assert describe(int(signal.SIGKILL)) == "SIGKILL"
