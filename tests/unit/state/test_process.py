from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import NoReturn

import pytest

from lb.state.process import is_running, start_ticks


def test_a_running_process_is_named_by_pid_and_start() -> None:
    start = start_ticks(os.getpid())
    assert start and is_running(os.getpid(), start)
    assert not is_running(os.getpid(), start - 1)


def test_a_killed_process_is_gone_even_before_it_is_waited_for() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start = start_ticks(child.pid)
    assert start is not None
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert os.path.exists(f"/proc/{child.pid}") and not is_running(child.pid, start)
    child.communicate()
    assert start_ticks(child.pid) is None


def test_a_process_with_an_odd_name_is_read_right(tmp_path: object) -> None:
    odd = f"{tmp_path}/a ) Z 1 ("
    os.symlink("/bin/sleep", odd)
    child = subprocess.Popen([odd, "60"])
    try:
        assert start_ticks(child.pid)
    finally:
        child.kill()
        child.wait()


def test_without_a_descriptor_to_look_with_everybody_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_descriptors(*_: object) -> NoReturn:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("builtins.open", no_descriptors)
    assert is_running(os.getpid(), 1)
