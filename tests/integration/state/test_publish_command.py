"""``python -m lb.supervisor.publisher`` as everybody runs it who publishes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lb.config import snapshot as snapshot_file
from lb.model import Backend, Config, Pool, State
from lb.state import publish as publish_module
from lb.state.publish import publish, segment_paths, snapshot_path
from lb.state.segment import Segment
from tests.integration.state.children import Child

GOOD = """
pools:
  web:
    backends: [http://127.0.0.1:5001, http://127.0.0.1:5002]
state: {{dir: {state_dir}}}
"""
BAD = """
pools:
  web:
    policy: roundrobin
    backends: [http://127.0.0.1:5001]
listenrs: {{}}
state: {{dir: {state_dir}}}
"""


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    state_dir = tmp_path / "state"
    yield state_dir
    for path in segment_paths(str(state_dir)):
        Path(path).unlink(missing_ok=True)


@pytest.fixture
def file(tmp_path: Path, state_dir: Path) -> Path:
    file = tmp_path / "lb.yaml"
    file.write_text(GOOD.format(state_dir=state_dir))
    return file


def run(file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lb.supervisor.publisher", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_good_file_is_put_in_force(file: Path, state_dir: Path) -> None:
    first, second = run(file), run(file)
    assert (first.returncode, first.stderr) == (second.returncode, second.stderr) == (0, "")
    assert first.stdout == second.stdout == f"{state_dir}/snapshot.json\n"
    snapshot = snapshot_file.read(first.stdout.strip())
    assert snapshot.generation == 2
    assert [pool.id for pool in snapshot.config.pools] == ["web"]
    assert snapshot.config.state.dir == str(state_dir)
    segment = Segment.open(snapshot.segment)
    assert segment.generation == 2 and segment.columns == len(snapshot.columns)
    segment.close()


def test_a_bad_file_names_every_problem_and_changes_nothing(file: Path, state_dir: Path) -> None:
    run(file)
    before = (state_dir / "snapshot.json").read_bytes()
    file.write_text(BAD.format(state_dir=state_dir))
    refused = run(file)
    assert (refused.returncode, refused.stdout) == (2, "")
    problems = refused.stderr.splitlines()
    assert len(problems) == 2
    assert any("roundrobin" in line for line in problems) and any("listenrs" in line for line in problems)
    assert (state_dir / "snapshot.json").read_bytes() == before


def test_a_bad_file_makes_no_state_directory(file: Path, state_dir: Path) -> None:
    file.write_text(BAD.format(state_dir=state_dir))
    assert run(file).returncode == 2
    assert not state_dir.exists()


def test_a_missing_file_is_exit_2(tmp_path: Path) -> None:
    missing = run(tmp_path / "nowhere.yaml")
    assert missing.returncode == 2 and "nowhere.yaml" in missing.stderr and "Traceback" not in missing.stderr


def test_a_state_directory_that_cannot_be_made_is_exit_2(file: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    file.write_text(GOOD.format(state_dir=tmp_path / "plain" / "state"))
    refused = run(file)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    said = f"state.dir {tmp_path}/plain/state cannot be made: Not a directory; set state.dir"
    assert refused.stderr == f"{file}:5:14: {said}\n"


def test_publishers_at_once_go_one_after_the_other(state_dir: Path) -> None:
    def publish_five(child: Child) -> None:
        pool = Pool("web", tuple(Backend(f"{os.getpid()}-{i}") for i in range(3)))
        config = Config("lb.yaml", (), (pool,), (), State(str(state_dir)))
        child.say(*(publish(config).generation for _ in range(5)))

    with ExitStack() as stack:
        children = [stack.enter_context(Child(publish_five)) for _ in range(4)]
        generations = [int(word) for child in children for word in child.hear()]
    assert sorted(generations) == list(range(1, 21))
    snapshot = snapshot_file.read(snapshot_path(str(state_dir)))
    assert snapshot.generation == 20


def test_a_stopped_publisher_is_reported_not_waited_for_without_end(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hold(child: Child) -> None:
        state_dir.mkdir()
        with publish_module._publish_lock(str(state_dir)):
            child.say("held")
            child.hear()

    monkeypatch.setattr(publish_module, "PATIENCE_S", 0.1)
    with Child(hold) as child:
        child.hear()
        child.stop()
        with pytest.raises(publish_module.PublishError, match="another process has been publishing"):
            publish(Config("lb.yaml", (), (), (), State(str(state_dir))))
        child.kill()
        assert publish(Config("lb.yaml", (), (), (), State(str(state_dir)))).generation == 1
