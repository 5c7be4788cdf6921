from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lb.supervisor.leftovers import advice, arbiters, left_over

_TREE = "import subprocess, sys; print(1, flush=True); subprocess.run([sys.executable, '-c', 'input()'])"


def test_the_arbiters_of_a_killed_supervisor_are_found_by_what_it_gave_them(tmp_path: Path) -> None:
    environ = {**os.environ, "LB_SNAPSHOT": str(tmp_path / "snapshot.json"), "LB_RUN_PID": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", _TREE], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stdout.readline()
        assert left_over(str(tmp_path)) == [process.pid]
        assert left_over(str(tmp_path / "other")) == []
    assert left_over(str(tmp_path)) == []


def test_our_own_children_are_none(tmp_path: Path) -> None:
    environ = {**os.environ, "LB_SNAPSHOT": str(tmp_path / "snapshot.json"), "LB_RUN_PID": str(os.getpid())}
    with subprocess.Popen(
        [sys.executable, "-c", "print(1, flush=True); input()"], env=environ,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout and process.stdout.readline()
        assert left_over(str(tmp_path)) == []


def test_what_is_advised() -> None:
    assert advice([]) == ""
    assert advice([7]) == "pid 7 is left over from a killed lb run; `kill -TERM 7` ends it"
    assert advice([7, 9]) == "pid 7 and 9 are left over from a killed lb run; `kill -TERM 7 9` ends it"


def test_a_child_of_one_of_them_is_no_arbiter() -> None:
    assert arbiters({os.getpid(), os.getppid()}) == [os.getppid()]
