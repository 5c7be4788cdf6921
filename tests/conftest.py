"""What every test may ask for. On CI (``CI=true``) a missing component is a failure, never a skip."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from tests.support.private_network import PrivateNetwork

settings.register_profile(
    "same every time", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same every time")

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
