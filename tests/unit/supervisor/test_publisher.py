"""A start reads its file once: what the supervisor has claimed and bound is what is put in force, or nothing is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lb.config import snapshot as snapshot_file
from lb.launch import program
from lb.supervisor import outline
from lb.supervisor.errand import Errands, Result
from lb.supervisor.pidfile import PidFile
from tests.unit.supervisor.test_errand import until_asked

FILE = "pools: {{web: {{backends: [http://127.0.0.1:{port}]}}}}\nstate: {{dir: {state}}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lb.yaml"
    write(path, port=5001)
    return path


def write(file: Path, port: int) -> None:
    file.write_text(FILE.format(port=port, state=file.parent / "state"))


def start(errands: Errands, file: Path, results: list[Result], asked: list[str]) -> None:
    argv = program("lb.supervisor.publisher", "--ask", str(file))
    errands.start(argv, os.environ, results.append, asked.append)


def end(errands: Errands) -> None:
    assert errands.pid is not None
    errands.on_exit(*os.waitpid(errands.pid, 0))


def test_the_file_is_read_once(file: Path) -> None:
    errands, results, asked = Errands(), list[Result](), list[str]()
    start(errands, file, results, asked)
    until_asked(errands, asked)
    state_dir = file.parent / "state"
    assert outline.load(asked[0]).state.dir == str(state_dir)
    assert os.listdir(state_dir) == [], "the directory is there to be claimed, and nothing is in force"
    write(file, port=5002)
    errands.go_on()
    end(errands)
    assert results == [Result(0, f"{state_dir / 'snapshot.json'}\n", "")]
    snapshot = snapshot_file.read(str(state_dir / "snapshot.json"))
    os.unlink(snapshot.segment)
    (pool,) = (pool for pool in snapshot.config.pools if pool.id == "web")
    assert [backend.port for backend in pool.backends] == [5001]


def test_nothing_is_put_in_force_without_an_answer(file: Path) -> None:
    errands, results, asked = Errands(), list[Result](), list[str]()
    start(errands, file, results, asked)
    until_asked(errands, asked)
    errands.kill()
    end(errands)
    assert results[0].code == -9
    assert os.listdir(file.parent / "state") == []


def test_nobody_is_asked_about_a_mistake(file: Path) -> None:
    file.write_text("pools: 3\n")
    errands, results, asked = Errands(), list[Result](), list[str]()
    start(errands, file, results, asked)
    end(errands)
    assert asked == []
    assert results[0].code == 2
    assert results[0].problems[0].startswith(f"{file}:1:")


def test_nobody_is_asked_about_a_state_directory_in_use(file: Path) -> None:
    (file.parent / "state").mkdir()
    claimed = PidFile.claim(str(file.parent / "state"))
    assert claimed is not None
    errands, results, asked = Errands(), list[Result](), list[str]()
    start(errands, file, results, asked)
    end(errands)
    claimed.remove()
    assert asked == []
    assert (results[0].code, results[0].output) == (2, "")
    assert f"is in use by another lb run (pid {os.getpid()})" in results[0].errors
