"""The hub, deadlines that pass quickly, and an end to tests that would wait for ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from lb.proxy.deadlines import Deadline, Sweeper
from tests.support.scripted import my_deadline, quick_sweeper

PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    with gevent.Timeout(PATIENCE_S):
        yield


@pytest.fixture
def hub() -> Any:
    return gevent.get_hub()


@pytest.fixture
def sweeper() -> Iterator[Sweeper]:
    with quick_sweeper() as running:
        yield running


@pytest.fixture
def deadline(sweeper: Sweeper) -> Iterator[Deadline]:
    """One of the test's own greenlet."""
    with my_deadline(sweeper) as mine:
        yield mine
