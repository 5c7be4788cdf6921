"""What operators changed, over damage, full disks and publications that fail."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lb.config import snapshot as snapshot_file
from lb.model import Listener, Snapshot
from lb.state import durable, operator_file
from lb.state.operate import own_order
from lb.state.operator import Change, Entry, Overlay
from lb.state.publish import publish, read_token, republish, segment_paths, snapshot_path, token_of
from lb.structs import replace
from tests.unit.state.test_publish import config_with

DRAINED = Overlay(machine={"web/a": Entry("drain")})


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[str]:
    state_dir = tmp_path / "state"
    yield str(state_dir)
    for path in segment_paths(str(state_dir)):
        Path(path).unlink(missing_ok=True)


def states(snapshot: Snapshot) -> list[str]:
    return [f"{one.id} {one.state}" for one in snapshot.config.pools[0].backends]


def drain(state_dir: str, name: str = "web/a") -> Snapshot:
    return republish(state_dir, lambda _, overlay: replace(overlay, machine={**overlay.machine, name: Entry("drain")}))


def test_a_change_survives_reloads_of_the_file(state_dir: str) -> None:
    publish(config_with(Path(state_dir), "a", "b"))
    changed = drain(state_dir)
    assert (changed.generation, states(changed)) == (2, ["a drain", "b ready"])
    assert states(publish(config_with(Path(state_dir), "a", "c"))) == ["a drain", "c ready"]
    without = publish(config_with(Path(state_dir), "c"))
    assert (states(without), without.problems) == (
        ["c ready"],
        ("the operators' change of web/a is left out: there is no such backend",),
    )
    assert states(publish(config_with(Path(state_dir), "a"))) == ["a drain"]


def test_the_same_again_publishes_nothing(state_dir: str) -> None:
    publish(config_with(Path(state_dir), "a", "b"))
    assert drain(state_dir).generation == drain(state_dir).generation == 2


@pytest.mark.parametrize("damage", [b"", b"{", b'{"schema": 1}', b"\xff", b'{"schema": 9}'])
def test_a_damaged_file_is_laid_aside_and_its_copy_counts(state_dir: str, damage: bytes) -> None:
    publish(config_with(Path(state_dir), "a", "b"))
    drain(state_dir)
    path = Path(operator_file.operator_path(state_dir))
    path.write_bytes(damage)
    told = publish(config_with(Path(state_dir), "a", "b"))
    assert states(told) == ["a drain", "b ready"]
    assert "its copy is in force" in told.problems[0]
    again = drain(state_dir, "web/b")
    assert (states(again), again.problems) == (["a drain", "b drain"], ())
    assert Path(f"{path}.damaged").read_bytes() == damage
    assert operator_file.load(state_dir).problem == ""


def test_without_both_it_is_said(state_dir: str) -> None:
    publish(config_with(Path(state_dir), "a", "b"))
    drain(state_dir)
    path = Path(operator_file.operator_path(state_dir))
    path.write_bytes(b"{")
    Path(f"{path}.bak").write_bytes(b"{")
    told = publish(config_with(Path(state_dir), "a", "b"))
    assert "what operators changed on this machine is lost" in told.problems[0]
    path.unlink()
    Path(f"{path}.bak").unlink()
    assert operator_file.load(state_dir) == operator_file.Found(Overlay())


def test_nothing_changes_where_the_snapshot_cannot_be_written(state_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(config_with(Path(state_dir), "a", "b"))
    drain(state_dir)
    before = {name: (Path(state_dir) / name).read_bytes() for name in ("base.json", "operator.json", "snapshot.json")}

    def full(path: str, snapshot: Snapshot) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot_file, "write", full)
    with pytest.raises(OSError, match="No space left"):
        drain(state_dir, "web/b")
    with pytest.raises(OSError, match="No space left"):
        publish(config_with(Path(state_dir), "b"))
    assert {name: (Path(state_dir) / name).read_bytes() for name in before} == before
    assert not [name for name in os.listdir(state_dir) if name.endswith((".before", ".tmp"))]


def test_a_disk_that_takes_nothing_more_changes_nothing(state_dir: str) -> None:
    publish(config_with(Path(state_dir), "a", "b"))
    before = Path(snapshot_path(state_dir)).read_bytes()
    order = json.dumps(own_order(Change("set", "web", "a", "drain"), "m1", None))
    program = (
        "import resource, sys, lb.state.operate as o; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100));"
        "sys.exit(o.main(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", program, state_dir], input=order, capture_output=True, text=True)
    assert done.returncode == 1 and "File too large" in done.stderr
    assert Path(snapshot_path(state_dir)).read_bytes() == before
    assert not os.path.exists(operator_file.operator_path(state_dir))
    assert states(drain(state_dir)) == ["a drain", "b ready"]


def test_only_our_user_may_look(state_dir: str) -> None:
    publish(config_with(Path(state_dir), "a", "b"))
    drain(state_dir)
    for name in ("operator.json", "operator.json.bak", "base.json", "admin.token"):
        assert stat.S_IMODE(os.stat(Path(state_dir) / name).st_mode) == 0o600


def test_one_token_is_made_and_kept(state_dir: str) -> None:
    config = config_with(Path(state_dir), "a")
    snapshot = publish(config)
    token = read_token(state_dir)
    assert len(token) == 64 and token == token_of(snapshot.config)
    publish(config)
    assert read_token(state_dir) == token
    for name in os.listdir(state_dir):
        assert name == "admin.token" or token not in (Path(state_dir) / name).read_text(errors="replace")


def test_none_is_made_where_one_is_configured(state_dir: str) -> None:
    listener = Listener("admin", "admin", ("127.0.0.1:5050",), token="configured")
    snapshot = publish(replace(config_with(Path(state_dir), "a"), listeners=(listener,)))
    assert (read_token(state_dir), token_of(snapshot.config)) == ("", "configured")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(RuntimeError), durable.replaced(str(path), b"new"):
        assert path.read_bytes() == b"new"
        raise RuntimeError
    assert os.listdir(tmp_path) == []
    durable.write(str(path), b"first")
    with pytest.raises(RuntimeError), durable.replaced(str(path), b"second"):
        raise RuntimeError
    assert path.read_bytes() == b"first" and os.listdir(tmp_path) == ["file"]
