"""When a configuration file counts as changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lb.supervisor.watched import INTERVAL_S, WatchedFile


class Looker:
    """Looks once an interval."""

    def __init__(self, path: Path) -> None:
        self.file = WatchedFile(str(path))
        self.file.note()
        self._now = 100.0

    def __call__(self) -> bool:
        self._now += INTERVAL_S
        return self.file.has_changed(self._now)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "lb.yaml"
    path.write_text("pools: {}")
    return path


def test_nothing_happens(path: Path) -> None:
    looks = Looker(path)
    assert [looks() for _ in range(3)] == [False, False, False]


def test_a_change_is_told_once_when_the_writer_is_done(path: Path) -> None:
    looks = Looker(path)
    path.write_text("pools: {web")
    assert not looks()
    path.write_text("pools: {web: {}}")
    assert [looks() for _ in range(3)] == [False, True, False]


def test_what_was_read_meanwhile_is_no_news(path: Path) -> None:
    looks = Looker(path)
    path.write_text("pools: {web: {}}")
    looks()
    looks.file.note()
    assert [looks() for _ in range(3)] == [False, False, False]


def test_a_file_that_is_gone_is_waited_for(path: Path) -> None:
    looks = Looker(path)
    path.unlink()
    assert [looks() for _ in range(3)] == [False, False, False]
    path.write_text("pools: {web: {}}")
    assert [looks() for _ in range(3)] == [False, True, False]


def test_what_a_link_leads_to(path: Path, tmp_path: Path) -> None:
    """As Kubernetes swaps a ConfigMap: the link below the file's path is replaced."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "lb.yaml").write_text("same")
    link = tmp_path / "data"
    link.symlink_to("one")
    looks = Looker(link / "lb.yaml")
    link.unlink()
    link.symlink_to("two")
    assert [looks() for _ in range(3)] == [False, True, False]


def test_it_looks_once_an_interval(path: Path) -> None:
    file = WatchedFile(str(path))
    file.note()
    path.write_text("pools: {web: {}}")
    assert [file.has_changed(5.0 + n * INTERVAL_S / 10) for n in range(12)] == [*[False] * 10, True, False]


def test_what_could_not_be_read_is_news_again(path: Path) -> None:
    looks = Looker(path)
    path.write_text("pools: {web: {}}")
    assert [looks() for _ in range(2)] == [False, True]
    looks.file.forget()
    assert [looks() for _ in range(2)] == [True, False]


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lb.yaml")
    looks = Looker(tmp_path / "lb.yaml")
    looks.file.forget()
    assert [looks() for _ in range(3)] == [False, False, False]


def test_a_file_beside_it_counts_from_when_it_is_named(path: Path, tmp_path: Path) -> None:
    looks, policy = Looker(path), tmp_path / "policies.py"
    policy.write_text("class P: pass")
    looks.file.also([str(policy)])
    assert [looks() for _ in range(2)] == [False, False]
    policy.write_text("class P: build = None")
    assert [looks() for _ in range(3)] == [False, True, False]
    path.write_text("pools: {web: 1}")
    assert [looks() for _ in range(3)] == [False, True, False]
    looks.file.also([])
    policy.write_text("")
    assert [looks() for _ in range(3)] == [False, False, False]


def test_a_change_of_it_while_the_configuration_is_read_is_seen(path: Path, tmp_path: Path) -> None:
    looks, policy = Looker(path), tmp_path / "policies.py"
    policy.write_text("class P: pass")
    looks.file.also([str(policy)])
    looks.file.note()
    policy.write_text("class P: build = None")
    looks.file.also([str(policy)])
    assert [looks() for _ in range(3)] == [False, True, False]


def test_what_was_not_read_is_news_again(path: Path, tmp_path: Path) -> None:
    looks = Looker(path)
    looks.file.forget()
    assert looks.file.known == ()
    assert [looks() for _ in range(3)].count(True) == 1, "news, once"
