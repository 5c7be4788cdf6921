from __future__ import annotations

import os
import select
import sys
import time
from pathlib import Path

from lb.supervisor.errand import Errands, Result


def run(code: str) -> Result:
    errands, results = Errands(), list[Result]()
    errands.start((sys.executable, "-c", code), os.environ, results.append)
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
    errands.start((sys.executable, "-c", "import time; time.sleep(60)"), os.environ, results.append)
    assert errands.pid is not None and errands.deadline is not None
    errands.tick(time.monotonic())
    assert errands.deadline is not None
    errands.tick(errands.deadline)
    errands.on_exit(*os.waitpid(errands.pid, 0))
    assert results[0].code == -9
    assert results[0].problems == ["it took longer than 30 s and was ended"]


ASKING = """
import sys
from lb.supervisor.errand import ask
print("may I")
agreed = ask()
print("done" if agreed else "not done")
sys.exit(not agreed)
"""


def until_asked(errands: Errands, asked: list[str]) -> None:
    deadline = time.monotonic() + 30
    while not asked:
        assert select.select(errands.watched, [], [], deadline - time.monotonic())[0], "it asks nothing"
        errands.listen()


def run_asking(code: str = ASKING, *, is_agreed: bool = True) -> tuple[list[str], Result]:
    errands, asked, results = Errands(), list[str](), list[Result]()
    errands.start((sys.executable, "-c", code), os.environ, results.append, asked.append)
    errands.listen()  # nothing yet, or already
    until_asked(errands, asked)
    errands.go_on() if is_agreed else errands.kill()
    assert errands.pid is not None
    errands.on_exit(*os.waitpid(errands.pid, 0))
    assert errands.watched == []
    return asked, results[0]


def test_one_that_asks_waits_for_the_answer() -> None:
    assert run_asking() == (["may I\n"], Result(0, "done\n", ""))


def test_one_that_asks_can_be_ended_instead() -> None:
    assert run_asking(is_agreed=False) == (["may I\n"], Result(-9, "", ""))


def test_both_halves_have_the_whole_patience() -> None:
    errands, asked = Errands(), list[str]()
    errands.start((sys.executable, "-c", ASKING), os.environ, lambda _: None, asked.append)
    first = errands.deadline
    until_asked(errands, asked)
    assert errands.deadline == first
    errands.go_on()
    assert first is not None and errands.deadline is not None and errands.deadline > first
    assert errands.pid is not None
    errands.on_exit(*os.waitpid(errands.pid, 0))


def test_one_that_dies_instead_of_asking_is_no_question() -> None:
    errands, asked, results = Errands(), list[str](), list[Result]()
    errands.start((sys.executable, "-c", "print('half')"), os.environ, results.append, asked.append)
    while errands.watched:
        select.select(errands.watched, [], [], 30)
        errands.listen()
    assert errands.pid is not None
    errands.on_exit(*os.waitpid(errands.pid, 0))
    assert (asked, results) == ([], [Result(0, "half\n", "")])


def test_one_that_died_before_the_answer_hurts_nobody() -> None:
    errands, asked, results = Errands(), list[str](), list[Result]()
    errands.start((sys.executable, "-c", ASKING), os.environ, results.append, asked.append)
    until_asked(errands, asked)
    assert errands.pid is not None
    os.kill(errands.pid, 9)
    pid, status = os.waitpid(errands.pid, 0)
    errands.go_on()
    errands.on_exit(pid, status)
    assert results == [Result(-9, "", "")]


def test_who_asks_somebody_that_has_ended_is_told_no(tmp_path: Path) -> None:
    """As after a kill -9 of the supervisor, before the question and after it."""
    said = tmp_path / "said"
    code = ASKING.replace("sys.exit", f"open({str(said)!r}, 'w').write(str(agreed)); sys.exit")
    for moment in ("0", "select.select(errands.watched, [], [])"):
        parent = (
            "import os, select\nfrom lb.supervisor.errand import Errands\nerrands = Errands()\n"
            f"errands.start({(sys.executable, '-c', code)!r}, os.environ, print, print)\n{moment}\nos._exit(0)"
        )
        assert os.spawnv(os.P_WAIT, sys.executable, (sys.executable, "-c", parent)) == 0
        deadline = time.monotonic() + 30
        while not (said.exists() and said.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert said.read_text() == "False"
        said.unlink()


def test_no_descriptor_is_left_behind() -> None:
    run("")
    run_asking()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        run("")
        run_asking()
        run_asking(is_agreed=False)
    assert len(os.listdir("/proc/self/fd")) <= before  # what other tests left may go meanwhile
