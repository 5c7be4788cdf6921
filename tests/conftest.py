"""What every test may ask for. On CI (``CI=true``) a missing component is a failure, never a skip."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from tests.support.private_network import PrivateNetwork

settings.register_profile(
    "same every time", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same every time")

# Tests start hundreds of processes, and each would compile our modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
"""Debian keeps servers in sbin, which is not on the PATH of everybody."""

PACKAGES = {
    "nginx": "nginx-light",
    "ss": "iproute2",
    "ip": "iproute2",
    "unshare": "util-linux",
    "prlimit": "util-linux",
}
"""Program -> Debian package, where the names differ."""

LONGEST_FIRST = tuple(
    f"tests/chaos/process/test_{name}.py"
    for name in ("upgrades", "socket_activation", "reloads", "killed_workers", "ends", "kills", "broken_code", "starts")
)
"""Half a minute or more each: begun last, one of them would keep one process busy while the others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, all others as they come."""

    def place(item: pytest.Item) -> int:
        file = item.nodeid.partition("::")[0]
        return LONGEST_FIRST.index(file) if file in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Thousands of collected tests are not searched for garbage again and again, least of all within a measurement."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def nothing_left_in_shared_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Of state directories below the session's own folder: who publishes takes the segment away."""
    yield
    left = []
    for snapshot in tmp_path_factory.getbasetemp().rglob("snapshot.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):  # spoilt on purpose
            segment = Path(json.loads(snapshot.read_bytes())["segment"])
            if segment.parent == Path("/dev/shm") and segment.exists():
                segment.unlink()
                left.append(str(snapshot.parent))
    assert not left, f"segments left in shared memory by {left}"


@pytest.fixture(scope="session")
def requires() -> Callable[[str], str]:
    """``requires("nginx")`` is the program's path; the test skips, on CI fails, where it is missing."""
    return find_program


@pytest.fixture(scope="module")
def network() -> Iterator[PrivateNetwork]:
    """One that a module's tests may break; they have to enter it."""
    try:
        opened = PrivateNetwork(find_program("ip"), find_program("iptables"))
    except PermissionError:
        missing("a network namespace takes root (sudo make test)")
    yield opened
    opened.close()


def find_program(program: str) -> str:
    path = shutil.which(program, path=SEARCH_PATH)
    if path is None:
        missing(f"{program} is not installed (apt-get install {PACKAGES.get(program, program)})")
    return path


def missing(text: str) -> NoReturn:
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(text)
    pytest.skip(text)
