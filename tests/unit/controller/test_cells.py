"""Stamps that a segment on disk brings from an earlier boot of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from lb.controller.cells import HealthCells
from lb.resilience.outlier import MAX_EJECTION_S
from lb.state.layout import SH_EJECTED_UNTIL_NS, SH_PROBE_OK_NS, SH_REFUSED_NS
from lb.state.segment import Segment

NOW_NS = 10**12
LONGEST_NS = int(MAX_EJECTION_S * 1e9)


@pytest.mark.parametrize(
    ("cell", "latest_ns"),
    [(SH_PROBE_OK_NS, NOW_NS), (SH_REFUSED_NS, NOW_NS), (SH_EJECTED_UNTIL_NS, NOW_NS + LONGEST_NS)],
)
def test_what_cannot_be_yet_is_forgotten(cell: int, latest_ns: int, tmp_path: Path) -> None:
    segment = Segment.create(str(tmp_path / "lb.seg"), slots=1, columns=1)
    shared = segment.shared(0)
    for stamp_ns, kept_ns in ((latest_ns, latest_ns), (latest_ns + 1, 0)):
        shared[cell] = stamp_ns
        HealthCells(segment, 0).forget_the_future(NOW_NS)
        assert shared[cell] == kept_ns
    segment.close()
