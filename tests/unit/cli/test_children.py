"""Child processes of `lb demo`: nothing is left, whatever they do."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from lb.cli import children

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print(subprocess.Popen([sys.executable, '-c', 'import os, time; os.setpgid(0, 0); time.sleep(60)']).pid, flush=True)\n"
    "time.sleep(60)",
]


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                if stat.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.01)
    pytest.fail(f"process {pid} is still there")


def test_an_ending_is_told_and_the_number_stays_ours() -> None:
    child = children.start("quick", [sys.executable, "-c", "raise SystemExit(3)"], os.environ)
    deadline = time.monotonic() + 10
    while child.is_running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child.ending == "ended with exit code 3"
    assert os.path.exists(f"/proc/{child.process.pid}")
    children.stop([child], within_s=1)
    assert not os.path.exists(f"/proc/{child.process.pid}")


def test_stop_ends_them_by_term() -> None:
    child = children.start("sleeper", SLEEPER, os.environ)
    assert child.is_running
    assert child.ending == "still runs"
    children.stop([child], within_s=10)
    assert child.process.returncode == -15


def test_what_ignores_term_is_killed_with_what_it_started(capfd: pytest.CaptureFixture[str]) -> None:
    child = children.start("stubborn", STUBBORN, os.environ)
    output = ""
    deadline = time.monotonic() + 10
    while not output.endswith("\n") and time.monotonic() < deadline:
        output += capfd.readouterr().out
        time.sleep(0.01)
    children.stop([child], within_s=0.1)
    assert child.process.returncode == -9
    wait_until_gone(int(output))


def test_children_end_when_we_are_killed() -> None:
    program = (
        "import os, time\nfrom lb.cli import children\n"
        f"print(children.start('sleeper', {SLEEPER!r}, os.environ).process.pid, flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    wait_until_gone(pid)
