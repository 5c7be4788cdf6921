"""A signal that comes before the supervisor has handlers waits for them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, signal, sys
from lb.cli import entry

def become(*arguments):  # what lb run does next
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        os.kill(os.getpid(), number)
    execv(*arguments)

execv, os.execv = os.execv, become
entry.main()
"""


def test_lb_run_is_not_ended_by_a_signal_before_its_first_step(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "run", str(tmp_path / "none.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, signal.strsignal(-done.returncode) if done.returncode < 0 else done.stderr
    assert "none.yaml: cannot be read" in done.stderr
