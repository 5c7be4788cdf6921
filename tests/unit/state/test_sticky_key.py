"""Pools without a key of their own get the machine's, and keep it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lb.config import snapshot as snapshot_file
from lb.model import Backend, Config, Pool, Route, State, Sticky
from lb.state.publish import publish, segment_paths, snapshot_path
from lb.state.sticky_key import with_sticky_keys
from lb.structs import replace

OWN = "0123456789abcdef"


def config_with(folder: Path, *sticky: Sticky | None) -> Config:
    pools = tuple(Pool(f"p{i}", (Backend("a", host="h", port=1),), sticky=one) for i, one in enumerate(sticky))
    return Config("lb.yaml", (), pools, (Route("all", "pool", pool="p0"),), State(str(folder)))


def keys(config: Config) -> list[tuple[str, ...]]:
    return [pool.sticky.keys for pool in config.pools if pool.sticky is not None]


def test_one_is_made_once_for_our_user_only(tmp_path: Path) -> None:
    config = config_with(tmp_path, Sticky("a"), Sticky("b", (OWN,)), None, Sticky("c"))
    first, again = keys(with_sticky_keys(config)), keys(with_sticky_keys(config))
    file = tmp_path / "sticky.key"
    made = file.read_text().strip()
    assert first == again == [(made,), (OWN,), (made,)]
    assert len(made) == 64
    assert file.stat().st_mode & 0o777 == 0o600


def test_none_is_made_where_none_is_needed(tmp_path: Path) -> None:
    config = config_with(tmp_path, Sticky("b", (OWN,)), None)
    assert with_sticky_keys(config) is config
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damaged", [b"", b"short", b"\xff" * 40, b"a b c d e f g h i j k l m"])
def test_a_damaged_one_is_replaced(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "sticky.key").write_bytes(damaged)
    [(made,)] = keys(with_sticky_keys(config_with(tmp_path, Sticky("a"))))
    assert len(made) == 64


def test_nobody_waits_for_who_writes_into_one_that_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "sticky.key")
    (key,) = keys(with_sticky_keys(config_with(tmp_path, Sticky("a"))))[0]
    assert (tmp_path / "sticky.key").read_text() == f"{key}\n"


def test_what_is_published_has_one_and_the_file_of_the_configuration_has_none(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    try:
        publish(config_with(state_dir, Sticky("a")))
        second = publish(config_with(state_dir, Sticky("a")))
        read = snapshot_file.read(snapshot_path(str(state_dir)))
        assert keys(read.config) == keys(second.config) == [((state_dir / "sticky.key").read_text().strip(),)]
        assert keys(snapshot_file.read(str(state_dir / "base.json")).config) == [()]
    finally:
        for path in segment_paths(str(state_dir)):
            Path(path).unlink(missing_ok=True)


def test_a_key_of_ones_own_needs_no_file(tmp_path: Path) -> None:
    config = config_with(tmp_path, Sticky("a", (OWN,)))
    assert keys(with_sticky_keys(replace(config, workers=2))) == [(OWN,)]
