from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.process.running import Run, hello_backends


@pytest.fixture(scope="session")
def backends() -> Iterator[list[int]]:
    with hello_backends(2) as ports:
        yield ports


@pytest.fixture
def idle(tmp_path: Path, backends: list[int]) -> Iterator[Run]:
    """A supervisor that has not been started."""
    run = Run(tmp_path, backends)
    yield run
    run.end()


@pytest.fixture
def run(idle: Run) -> Run:
    """One that serves, with all its workers."""
    idle.start()
    idle.wait_until_ready()
    idle.wait_for_workers()
    return idle
