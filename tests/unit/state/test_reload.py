from __future__ import annotations

from pathlib import Path

from lb.state.reload import Reload, last_reload, record


def test_the_latest_is_read_back(tmp_path: Path) -> None:
    assert last_reload(str(tmp_path)) is None
    record(str(tmp_path), ["lb.yaml:1:1: a", "lb.yaml:2:1: b"])
    last = last_reload(str(tmp_path))
    assert last is not None and last.problems == ("lb.yaml:1:1: a", "lb.yaml:2:1: b")
    record(str(tmp_path), [])
    last = last_reload(str(tmp_path))
    assert last is not None and (last.problems, str(last)) == ((), "")


def test_what_is_said_of_a_refused_one() -> None:
    said = "configuration refused at 1970-01-01T00:00:09Z, the one before is in force: a; b"
    assert str(Reload(9.5, ("a", "b"))) == said


def test_a_directory_that_is_gone_and_a_damaged_file(tmp_path: Path) -> None:
    record(str(tmp_path / "gone"), [])
    (tmp_path / "reload.json").write_text("{")
    assert last_reload(str(tmp_path)) is None
