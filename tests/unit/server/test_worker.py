"""A worker that has served: what it has loaded, what it weighs, and how it refuses to start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.balancer import Balancer, running_balancer
from tests.support.raw_client import exchange

FORBIDDEN = (
    "prometheus_client",
    "pydantic",
    "pydantic_core",
    "redis",
    "hiredis",
    "yaml",
    "click",
    "rich",
    "geoip2",
    "maxminddb",
    "aiohttp",
    "requests",
)
MAX_RESIDENT_BYTES = 60 * 1024 * 1024
ROUTES = [{"path": "/fixed", "respond": {"body": "fixed"}}, {"path": "/none", "pool": "web"}]
CONFIG = {"pools": {"web": {"backends": ["http://127.0.0.1:1"], "health": {"type": "none"}}}, "routes": ROUTES}


@pytest.fixture(scope="module")
def served() -> Iterator[Balancer]:
    """A real worker under gunicorn that has answered by itself and tried a backend."""
    with running_balancer(CONFIG) as balancer:
        for path, status in ((b"/fixed", 200), (b"/none", 503), (b"/other", 404)):
            raw = b"GET %b HTTP/1.1\r\nHost: lb.test\r\nConnection: close\r\n\r\n" % path
            assert exchange(balancer.port, raw).answer().status == status
        yield balancer


def test_no_library_of_the_control_plane_is_mapped(served: Balancer) -> None:
    """Compiled parts show in a process's maps; what is plain Python the next test looks for."""
    (worker,) = served.workers()
    mapped = Path(f"/proc/{worker.pid}/maps").read_text()
    assert "gevent" in mapped
    assert [name for name in FORBIDDEN if f"/{name}/" in mapped or f"/_{name}" in mapped] == []


def test_a_worker_at_rest_is_small(served: Balancer) -> None:
    assert served.memory_bytes() <= MAX_RESIDENT_BYTES


SERVE = """
import json, sys
import lb.server.worker
from lb.wsgi import app
from werkzeug.test import Client
client = Client(app)
statuses = [client.get(path).status_code for path in ("/fixed", "/none", "/other")]
print(json.dumps([statuses, sorted(name for name in {forbidden!r} if name in sys.modules)]))
"""


def test_nothing_of_the_control_plane_is_loaded_by_serving(tmp_path: Path) -> None:
    whole = {**CONFIG, "state": {"dir": str(tmp_path)}}
    (tmp_path / "lb.yaml").write_text(json.dumps(whole))
    environ = {**os.environ, "LB_CONFIG": str(tmp_path / "lb.yaml")}
    program = SERVE.format(forbidden=FORBIDDEN)
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=30)
    Path(json.loads((tmp_path / "snapshot.json").read_text())["segment"]).unlink()
    assert done.returncode == 0, done.stderr
    statuses, loaded = json.loads(done.stdout.splitlines()[-1])
    assert (statuses, loaded) == ([200, 503, 404], [])


def test_a_worker_that_cannot_start_leaves_the_arbiter_alone() -> None:
    """Statuses 3 and 4 would make gunicorn give up, and the healthy workers with it."""
    from gunicorn.arbiter import Arbiter

    from lb.server.worker import FAILED_STATUS

    assert FAILED_STATUS not in (0, Arbiter.WORKER_BOOT_ERROR, Arbiter.APP_LOAD_ERROR)
