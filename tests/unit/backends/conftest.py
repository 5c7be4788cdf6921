"""A demo backend on a free port, in a greenlet-free client's reach: its own process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.unit.backends.client import Client


@pytest.fixture(scope="session")
def backend() -> Iterator[Client]:
    """Backend 2 (EU, weight 3), its failures seeded."""
    yield from serve()


@pytest.fixture(scope="session")
def skipping_backend() -> Iterator[Client]:
    """A backend that drops one POST in five."""
    yield from serve(SKIP_SOME_REQUESTS="true")


def serve(**environ: str) -> Iterator[Client]:
    command = [sys.executable, "-m", "backends", "--profile", "2", "--port", "0", "--seed", "7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        try:
            yield Client(port)
        finally:
            process.terminate()
            assert process.wait(10) == 0
