from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lb.config import snapshot as snapshot_file
from lb.model import Backend, Config, Pool, Route, Snapshot, State
from lb.policies.table import POLICIES
from lb.state import publish as publish_module
from lb.state.layout import C_COUNT, SH_VERDICT, SLOT_GENERATION, UP
from lb.state.publish import publish, segment_paths, snapshot_path
from lb.state.segment import Segment, SegmentError
from lb.structs import replace


def config_with(state_dir: Path, *backends: str, workers: int = 1) -> Config:
    pool = Pool("web", tuple(Backend(name, host="127.0.0.1", port=5001) for name in backends))
    return Config("lb.yaml", (), (pool,), (Route("all", "pool", pool="web"),), State(str(state_dir)), workers)


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    state_dir = tmp_path / "state"
    yield state_dir
    for path in segment_paths(str(state_dir)):
        Path(path).unlink(missing_ok=True)


def opened(snapshot: Snapshot) -> Segment:
    return Segment.open(snapshot.segment)


def test_every_policy_has_a_column(state_dir: Path) -> None:
    columns = publish(config_with(state_dir, "a")).columns
    assert {name for name in columns if name.startswith("algo:")} == {f"algo:{name}" for name in POLICIES}


def test_the_first_publication_makes_everything(state_dir: Path) -> None:
    snapshot = publish(config_with(state_dir, "a", "b", workers=3))
    assert snapshot == snapshot_file.read(snapshot_path(str(state_dir)))
    assert snapshot.generation == 1
    assert {"worker", "pool:web", "route:all", "backend:web/a", "backend:web/b", "algo:adaptive"} <= set(
        snapshot.columns
    )
    segment = opened(snapshot)
    assert (segment.generation, segment.slots, segment.columns) == (1, 28, len(snapshot.columns))
    assert snapshot.segment.startswith("/dev/shm/lb-")
    segment.close()


def test_a_worker_that_finds_the_segment_gone_makes_an_equal_one(state_dir: Path) -> None:
    publish(config_with(state_dir, "a"))
    snapshot = publish(config_with(state_dir, "a", workers=2))
    segment = Segment.for_snapshot(snapshot)
    os.unlink(snapshot.segment)
    assert segment.is_stale()
    again, second = Segment.for_snapshot(snapshot), Segment.for_snapshot(snapshot)
    assert (again.generation, again.slots, again.columns) == (2, segment.slots, segment.columns)
    assert not again.is_stale() and not second.is_stale()
    assert publish(config_with(state_dir, "a", workers=2)).columns == snapshot.columns
    assert again.generation == 3


def test_the_same_again_is_a_new_generation_in_the_same_columns(state_dir: Path) -> None:
    first = publish(config_with(state_dir, "a"))
    second = publish(config_with(state_dir, "a"))
    assert (second.generation, second.columns, second.segment) == (2, first.columns, first.segment)
    segment = opened(second)
    assert segment.generation == 2
    segment.close()


def test_counts_and_health_of_what_stays_go_on(state_dir: Path) -> None:
    first = publish(config_with(state_dir, "a", "b"))
    segment = opened(first)
    segment.claim_slot().counters(first.columns["backend:web/b"])[C_COUNT] = 7
    segment.shared(first.columns["backend:web/b"])[SH_VERDICT] = UP
    second = publish(config_with(state_dir, "b", "c"))
    assert second.columns["backend:web/b"] == first.columns["backend:web/b"]
    assert second.columns["backend:web/c"] not in first.columns.values()
    assert "backend:web/a" not in second.columns
    segment.refresh()
    assert segment.totals(second.columns["backend:web/b"])[C_COUNT] == 7
    assert segment.shared(second.columns["backend:web/c"])[SH_VERDICT] == 0
    segment.close()


def test_a_column_is_used_again_once_everybody_has_left_it(state_dir: Path) -> None:
    first = publish(config_with(state_dir, "a"))
    column = first.columns["backend:web/a"]
    segment = opened(first)
    slot = segment.claim_slot()
    slot.counters(column)[C_COUNT] = 7
    slot.segment.inflight_view(column)[slot.index] = 1

    second = publish(config_with(state_dir, "b"))
    slot.beat(1, second.generation, 1)
    assert column not in publish(config_with(state_dir, "b", "c")).columns.values(), "a request is still inflight"

    slot.segment.inflight_view(column)[slot.index] = 0
    assert column not in publish(config_with(state_dir, "b", "d")).columns.values(), "the worker is a generation behind"

    segment.slot_cells(slot.index)[SLOT_GENERATION] = 4
    assert publish(config_with(state_dir, "b", "e")).columns["backend:web/e"] == column
    assert segment.totals(column)[C_COUNT] == 0
    segment.close()


def test_endless_churn_does_not_grow_the_segment_endlessly(state_dir: Path) -> None:
    sizes = {opened(publish(config_with(state_dir, f"pod-{i}", f"pod-{i + 1}"))).columns for i in range(30)}
    assert max(sizes) <= 3 + len(POLICIES) + 3 + 2


def test_more_workers_than_slots_get_a_new_segment(state_dir: Path) -> None:
    old = opened(publish(config_with(state_dir, "a", workers=1)))
    new = opened(publish(config_with(state_dir, "a", workers=8)))
    assert old.is_stale() and new.slots == 48 and new.generation == 2
    assert opened(publish(config_with(state_dir, "a", workers=1))).slots == 48


@pytest.mark.parametrize("damage", ["segment deleted", "segment damaged", "snapshot damaged", "snapshot deleted"])
def test_whatever_is_lost_generations_go_up(state_dir: Path, damage: str) -> None:
    config = config_with(state_dir, "a", "b")
    for _ in range(3):
        before = publish(config)
    path = Path(before.segment if "segment" in damage else snapshot_path(str(state_dir)))
    path.write_bytes(b"rubbish") if "damaged" in damage else path.unlink()
    after = publish(config)
    assert after.generation == 4
    assert opened(after).generation == 4
    assert len(set(after.columns.values())) == len(after.columns) <= opened(after).columns


def test_with_the_copy_of_the_old_snapshot_every_count_goes_on(state_dir: Path) -> None:
    before = publish(config_with(state_dir, "a"))
    os.unlink(snapshot_path(str(state_dir)))
    after = publish(config_with(state_dir, "a"))
    assert (after.generation, after.columns) == (2, before.columns)


def test_without_the_old_snapshot_no_column_of_a_running_worker_is_touched(state_dir: Path) -> None:
    before = publish(config_with(state_dir, "a"))
    segment = opened(before)
    segment.claim_slot().beat(1, 1, 1)
    path = snapshot_path(str(state_dir))
    os.unlink(path)
    os.unlink(path + snapshot_file.COPY_SUFFIX)
    after = publish(config_with(state_dir, "a"))
    assert not set(after.columns.values()) & set(before.columns.values())
    segment.close()


def test_a_full_shm_moves_the_segment_into_the_state_directory(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = publish(config_with(state_dir, "a"))
    old = opened(before)
    real_reserve = os.posix_fallocate

    def reserve(fd: int, offset: int, length: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").startswith("/dev/shm/"):
            raise OSError(28, "No space left on device")
        real_reserve(fd, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", reserve)
    after = publish(config_with(state_dir, "a", "b"))
    assert after.segment == str(state_dir / "lb.seg")
    assert opened(after).generation == old.generation == 2, "workers on the old one are told, too"
    assert not old.is_stale()
    assert publish(config_with(state_dir, "a", "b")).segment == after.segment


def test_nothing_changes_when_the_snapshot_cannot_be_written(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = publish(config_with(state_dir, "a"))

    def full(path: str, snapshot: Snapshot) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot_file, "write", full)
    with pytest.raises(OSError, match="No space left"):
        publish(config_with(state_dir, "b"))
    assert opened(before).generation == 1
    assert snapshot_file.read(snapshot_path(str(state_dir))) == before


def test_no_place_for_a_segment_names_every_reason(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = [str(state_dir / "x" / "lb.seg"), str(state_dir / "y" / "lb.seg")]
    monkeypatch.setattr(publish_module, "segment_paths", lambda state_dir: missing)
    with pytest.raises(SegmentError, match=r"x/lb\.seg.*; .*y/lb\.seg"):
        publish(config_with(state_dir, "a"))


def test_a_relative_state_directory_is_made_absolute(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(state_dir.parent)
    config = replace(config_with(state_dir, "a"), state=State("state"))
    assert publish(config).config.state.dir == str(state_dir)
    assert publish(config_with(state_dir, "a")).generation == 2
