"""What the ready line says of backends, read from a real segment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lb.model import Backend, Config, Pool, Snapshot, State
from lb.state.layout import DOWN, H_PROBED_GENERATION, READY, SH_VERDICT, UNKNOWN, UP
from lb.state.segment import Segment
from lb.supervisor.probes import Verdicts, is_probed, verdicts_of


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    segment = Segment.create(str(tmp_path / "lb.seg"), slots=8, columns=3)
    yield segment
    segment.close()


def snapshot_of(path: str) -> Snapshot:
    pools = (Pool("web", (Backend("a"), Backend("b"))), Pool("api", (Backend("a"),)))
    columns = {"backend:web/a": 0, "backend:web/b": 1, "backend:api/a": 2}
    return Snapshot(3, Config("lb.yaml", (), pools, (), State("/")), path, columns)


@pytest.mark.parametrize(("probed", "expected"), [(2, False), (3, True), (4, True)])
def test_probed_is_this_generation_or_a_later_one(segment: Segment, probed: int, expected: bool) -> None:
    segment.header[H_PROBED_GENERATION] = probed
    assert is_probed(snapshot_of(segment.path)) is expected


def test_it_is_not_over_before_the_workers_that_serve_know_what_was_found(segment: Segment) -> None:
    segment.header[H_PROBED_GENERATION] = 3
    slot = segment.claim_slot()
    segment.bump_health()
    assert is_probed(snapshot_of(segment.path)), "it accepts nothing yet"
    slot.beat(1, 3, READY)
    assert not is_probed(snapshot_of(segment.path))
    slot.knows(segment.health_version)
    assert is_probed(snapshot_of(segment.path))
    segment.bump_health()
    assert not is_probed(snapshot_of(segment.path))


def test_verdicts_are_those_of_the_segment(segment: Segment) -> None:
    for column, verdict in enumerate((UP, DOWN, UNKNOWN)):
        segment.shared(column)[SH_VERDICT] = verdict
    assert verdicts_of(snapshot_of(segment.path)).by_pool == {"web": (UP, DOWN), "api": (UNKNOWN,)}


def test_of_no_segment_nothing_is_known(tmp_path: Path) -> None:
    snapshot = snapshot_of(str(tmp_path / "none"))
    assert not is_probed(snapshot)
    assert verdicts_of(snapshot).by_pool == {"web": (UNKNOWN, UNKNOWN), "api": (UNKNOWN,)}


def test_a_segment_that_is_still_to_grow_is_no_error(tmp_path: Path) -> None:
    small = Segment.create(str(tmp_path / "small.seg"), slots=8, columns=1)
    assert verdicts_of(snapshot_of(small.path)).by_pool == {"web": (UNKNOWN, UNKNOWN), "api": (UNKNOWN,)}
    small.close()


@pytest.mark.parametrize(
    ("by_pool", "said"),
    [
        ({"web": (UP, UP, UP)}, "3 of 3 backends up"),
        ({"web": (UP,)}, "1 of 1 backend up"),
        ({"web": (UP, DOWN), "api": (UP,)}, "2 of 3 backends up"),
        ({"web": (UP, UNKNOWN)}, "1 of 2 backends up, 1 not probed yet"),
        ({"web": (UP, UP), "api": (DOWN,)}, "2 of 3 backends up, no backend of pool api is up"),
        ({"web": (UNKNOWN, DOWN)}, "0 of 2 backends up, 1 not probed yet"),
        ({}, "0 of 0 backends up"),
    ],
)
def test_in_words(by_pool: dict[str, tuple[int, ...]], said: str) -> None:
    assert str(Verdicts(by_pool)) == said
