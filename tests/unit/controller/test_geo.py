"""The controller follows the file of the geo database, says once what is wrong with it, and tells the segment."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lb.controller.geo import LOOKS_TO_RETRY, GeoKeeper
from lb.model import Config, Geo, Snapshot, State
from lb.state.geo_file import copy_path
from lb.state.layout import GEO_LOADED, GEO_MISSING, GEO_NONE, H_GEO, H_GEO_BUILT_S, H_GEO_REFUSED
from lb.state.segment import Segment
from lb.structs import replace
from tests.support.geo import write_database


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    segment = Segment.create(str(tmp_path / "lb.seg"), slots=1, columns=1)
    yield segment
    segment.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "geo.mmdb"


@pytest.fixture
def keeper(tmp_path: Path, segment: Segment, source: Path) -> Iterator[GeoKeeper]:
    """On that file, looking when a test says so."""
    keeper = GeoKeeper(lambda work: work())
    config = Config("lb.yaml", (), (), (), State(str(tmp_path)), geo=Geo(str(source)))
    keeper.apply(Snapshot(1, config, segment.path, {}), segment)
    yield keeper
    keeper.stop()


def told(segment: Segment) -> tuple[int, int, int]:
    return segment.header[H_GEO], segment.header[H_GEO_BUILT_S], segment.header[H_GEO_REFUSED]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in caplog.records]


@pytest.fixture(autouse=True)
def from_info_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lb.geo")


def test_no_file_is_said_once_and_is_a_metric(
    keeper: GeoKeeper, segment: Segment, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        keeper.look()
    assert told(segment) == (GEO_MISSING, 0, 1)
    assert said(caplog) == ["WARNING"]
    assert "every client is in the default region" in caplog.text


def test_it_is_taken_when_it_comes(
    keeper: GeoKeeper, segment: Segment, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper.look()
    write_database(source, built_s=1_650_000_000)
    keeper.look()
    assert told(segment) == (GEO_LOADED, 1_650_000_000, 0)
    assert said(caplog) == ["WARNING", "INFO"]


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"junk" * 500)], ids=["gone", "junk"])
def test_a_bad_file_keeps_the_last_good_one_and_is_said_once(
    keeper: GeoKeeper,
    segment: Segment,
    source: Path,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path], object],
) -> None:
    write_database(source, built_s=7)
    keeper.look()
    spoil(source)
    for _ in range(3):
        keeper.look()
    assert told(segment) == (GEO_LOADED, 7, 1)
    assert said(caplog) == ["WARNING"]
    assert "the last good one stays in use" in caplog.text
    write_database(source, built_s=8)
    keeper.look()
    assert told(segment) == (GEO_LOADED, 8, 0)


def test_a_copy_that_is_gone_is_made_again(keeper: GeoKeeper, source: Path, tmp_path: Path) -> None:
    write_database(source)
    keeper.look()
    copy = Path(copy_path(str(source), str(tmp_path)))
    copy.unlink()
    keeper.look()
    assert copy.exists()


def test_without_geo_nothing_is_left_of_it(keeper: GeoKeeper, segment: Segment, source: Path, tmp_path: Path) -> None:
    write_database(source)
    keeper.look()
    config = Config("lb.yaml", (), (), (), State(str(tmp_path)))
    keeper.apply(Snapshot(2, config, segment.path, {}), segment)
    keeper.look()
    assert told(segment) == (GEO_NONE, 0, 0)
    assert not Path(copy_path(str(source), str(tmp_path))).exists()
    keeper.apply(Snapshot(3, replace(config, geo=Geo(str(source))), segment.path, {}), segment)
    keeper.look()
    assert told(segment)[0] == GEO_LOADED


def test_what_is_not_the_files_fault_is_tried_again(segment: Segment, source: Path, tmp_path: Path) -> None:
    write_database(source)
    said = ["no space left on device"]
    keeper = GeoKeeper(lambda work: said.pop() if said else work())
    config = Config("lb.yaml", (), (), (), State(str(tmp_path)), geo=Geo(str(source)))
    keeper.apply(Snapshot(1, config, segment.path, {}), segment)
    keeper.look()
    assert told(segment)[0] == GEO_MISSING
    for _ in range(LOOKS_TO_RETRY):
        keeper.look()
    assert told(segment)[0] == GEO_LOADED
    keeper.stop()
