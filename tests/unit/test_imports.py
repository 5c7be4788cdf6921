"""What a worker may not load: it would cost memory and start time in each, and tie traffic to it."""

from __future__ import annotations

import subprocess
import sys

import pytest

FORBIDDEN = (
    "maxminddb",
    "aiohttp",
    "requests",
    "prometheus_client",
    "pydantic",
    "redis",
    "yaml",
    "click",
    "rich",
    "google.cloud",
    "kubernetes",
    "docker",
)
"""With no geo database configured, not what reads one either."""

PROGRAM = """
import sys
import {module}
loaded = sorted(name for name in {forbidden!r} if name in sys.modules)
print(" ".join(loaded))
"""


@pytest.mark.parametrize("module", ["lb.server.worker", "lb.wsgi"])
def test_a_worker_loads_nothing_of_the_control_plane(module: str) -> None:
    program = PROGRAM.format(module=module, forbidden=FORBIDDEN)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
