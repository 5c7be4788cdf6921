from __future__ import annotations

import os
import time

from lb.supervisor.errand import Errands, Result
from lb.supervisor.spawn import python


def run(code: str) -> Result:
    errands, results = Errands(), list[Result]()
    errands.start(python("-c", code), os.environ, results.append)
    assert errands.pid is not None
    pid, status = os.waitpid(errands.pid, 0)
    errands.on_exit(pid, status)
    assert errands.pid is None
    return results[0]


def test_output_errors_and_status_arrive() -> None:
    result = run("import sys; print('path'); print('one\\ntwo', file=sys.stderr); sys.exit(2)")
    assert result == Result(2, "path\n", "one\ntwo\n")
    assert result.problems == ["one", "two"]


def test_much_output_blocks_nobody() -> None:
    assert len(run("print('x' * 500_000)").output) == 500_001


def test_one_that_dies_silently_says_how() -> None:
    assert run("import os; os.kill(os.getpid(), 9)").problems == ["ended with status -9"]


def test_one_that_hangs_is_ended() -> None:
    errands, results = Errands(), list[Result]()
    errands.start(python("-c", "import time; time.sleep(60)"), os.environ, results.append)
    assert errands.pid is not None and errands.deadline is not None
    errands.tick(time.monotonic())
    assert errands.deadline is not None
    errands.tick(errands.deadline)
    errands.on_exit(*os.waitpid(errands.pid, 0))
    assert results[0].code == -9


def test_no_descriptor_is_left_behind() -> None:
    run("")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        run("")
    assert len(os.listdir("/proc/self/fd")) <= before  # what other tests left may go meanwhile
