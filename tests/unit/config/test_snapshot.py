"""The snapshot file: what is written is read, and anything else is refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lb import model
from lb.config import snapshot as snapshot_file
from lb.errors import ConfigError
from lb.structs import replace

SNAPSHOT = model.Snapshot(
    generation=7,
    config=model.Config(
        source="/etc/lb.yaml",
        listeners=(model.Listener("admin", "admin", ("127.0.0.1:5050",), token="secret"),),
        pools=(model.Pool("web", (model.Backend("a", host="h", port=1),)),),
        routes=(model.Route("default", "pool", pool="web", headers=(model.FieldMatch("x"),)),),
        state=model.State("/var/lib/lb"),
    ),
    segment="/dev/shm/lb-0.seg",
    columns={"worker": 0, "backend:web/a": 1},
)

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_number = st.integers(min_value=-(2**63), max_value=2**63 - 1)
_seconds = st.floats(allow_nan=False, allow_infinity=False)


def _some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(strategy, max_size=2).map(tuple)


_backend = st.builds(model.Backend, _text, host=_text, port=_number, max_inflight=st.none() | _number)
_health = st.builds(model.Health, path=_text, status=_some(_number), interval_s=_seconds, rise=_number)
_pool = st.builds(model.Pool, _text, _some(_backend), health=_health)
_field = st.builds(model.FieldMatch, _text, st.none() | _text, st.booleans())
_respond = st.none() | st.builds(model.Respond, _number, _text, _text)
_route = st.builds(model.Route, _text, st.just("respond"), headers=_some(_field), respond=_respond)
_listener = st.builds(model.Listener, _text, st.just("status"), _some(_text), body_limit_bytes=st.none() | _number)
_config = st.builds(
    model.Config, _text, _some(_listener), _some(_pool), _some(_route), st.builds(model.State, _text), workers=_number
)
_snapshot = st.builds(model.Snapshot, _number, _config, _text, st.dictionaries(_text, _number, max_size=2))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = str(tmp_path / "snapshot.json")
    snapshot_file.write(path, SNAPSHOT)
    assert snapshot_file.read(path) == SNAPSHOT


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    path.write_text("old")
    path.chmod(0o644)
    snapshot_file.write(str(path), SNAPSHOT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_failed_write_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "snapshot.json")
    snapshot_file.write(path, SNAPSHOT)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        snapshot_file.write(path, model.Snapshot(8, SNAPSHOT.config, "", {}))
    assert snapshot_file.read(path) == SNAPSHOT
    assert snapshot_file.read(path + snapshot_file.COPY_SUFFIX) == SNAPSHOT
    assert sorted(os.listdir(tmp_path)) == ["snapshot.json", "snapshot.json.bak"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "damaged snapshot"),
        (b"{}", "damaged snapshot"),
        (b'{"schema": 2, "new": true}', "snapshot has schema 2, this version of lb reads schema 1"),
        (b'{"schema": 1}', "damaged snapshot"),
        (b'{"schema": 1, "generation"', "damaged snapshot"),
        (b"\xff\xfe", "damaged snapshot"),
        (b"[" * 100_000, "damaged snapshot"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "snapshot.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=expected):
        snapshot_file.read(str(path))


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read snapshot: No such file"):
        snapshot_file.read(str(tmp_path / "none"))


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"{")])
def test_the_copy_stands_in_and_says_so(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    path = tmp_path / "snapshot.json"
    for generation in (7, 8):
        snapshot_file.write(str(path), replace(SNAPSHOT, generation=generation))
    assert snapshot_file.read_or_copy(str(path)).problem == ""
    damage(path)
    found = snapshot_file.read_or_copy(str(path))
    assert found.snapshot.generation == 8, "what was in force, not what was before it"
    assert found.problem.startswith(f"{path}: ") and found.problem.endswith(f"its copy {path}.bak is in force")
    assert "\n" not in found.problem


def test_without_a_copy_the_file_itself_is_the_problem(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    snapshot_file.write(str(path), SNAPSHOT)
    path.unlink()
    path.with_name("snapshot.json.bak").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"snapshot\.json: cannot read snapshot: No such file"):
        snapshot_file.read_or_copy(str(path))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(snapshot=_snapshot)
def test_every_snapshot_survives(tmp_path: Path, snapshot: model.Snapshot) -> None:
    path = str(tmp_path / "snapshot.json")
    snapshot_file.write(path, snapshot)
    assert snapshot_file.read(path) == snapshot
