"""In a process of its own: at-fork hooks cannot be taken back."""

from __future__ import annotations

import subprocess
import sys

ARBITER = """
import os, signal
from lb.supervisor.booting import end_booting_workers
taken = []
signal.signal(signal.SIGTERM, lambda *_: taken.append(1))
{call}
boots, booted = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(boots, 1)  # and has no handler of its own yet
    os._exit(0)
os.kill(pid, signal.SIGTERM)
os.write(booted, b".")
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
os.kill(os.getpid(), signal.SIGTERM)
print(len(taken))
"""


def run(call: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", ARBITER.format(call=call)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_signal_during_the_boot_ends_the_worker_and_the_arbiter_still_hears_its_own() -> None:
    assert run("end_booting_workers()") == ["-15", "1"]


def test_without_it_the_signal_would_be_lost() -> None:
    assert run("") == ["0", "1"]
