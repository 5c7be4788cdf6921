"""What a balancer runs when its data path has been compiled, and when that is left aside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lb.native.finder import BUILDS, build_directory, data_path
from tests.support.balancer import Subject, running_balancer, simple_config


def is_mapped(pid: int) -> bool:
    """Whether that process has loaded a build."""
    return str(BUILDS) in Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.parametrize(("subject", "is_compiled"), [("worker", True), ("wsgi", True), ("uncompiled", False)])
def test_workers_run_what_was_compiled_unless_told_otherwise(subject: Subject, is_compiled: bool) -> None:
    if is_compiled and not os.path.isdir(build_directory()):
        need_a_build()
    with running_balancer(simple_config([1]), subject) as balancer:
        assert [is_mapped(worker.pid) for worker in balancer.workers()] == [is_compiled]


def need_a_build() -> None:
    text = "the data path is not compiled (make native)"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(text)
    pytest.skip(text)


def test_status_says_whether_there_is_a_build() -> None:
    command = [sys.executable, "-m", "lb.cli.main", "native", "--status"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    exists = os.path.isdir(build_directory())
    assert (done.returncode, done.stdout) == (
        (0, f"lb native: compiled, in {build_directory()}\n") if exists else (1, f"lb native: {data_path()}\n")
    )
