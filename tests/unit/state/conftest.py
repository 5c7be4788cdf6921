from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lb.state.segment import Segment


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lb.seg")


@pytest.fixture
def segment(path: str) -> Iterator[Segment]:
    segment = Segment.create(path, slots=4, columns=3)
    yield segment
    segment.close()
