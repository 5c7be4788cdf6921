from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lb.state.segment import Segment


@pytest.fixture
def path(tmp_path: object) -> Iterator[str]:
    """A segment's place in memory, as in production."""
    path = f"/dev/shm/lb-test-{os.getpid()}.seg"
    yield path
    if os.path.lexists(path):
        os.unlink(path)


@pytest.fixture
def segment(path: str) -> Iterator[Segment]:
    segment = Segment.create(path, slots=24, columns=2)
    yield segment
    segment.close()
