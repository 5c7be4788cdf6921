"""What every test may ask for. On CI (``CI=true``) a missing component is a failure, never a skip.

Inside the tests' own process the data path runs as it is written, since fakes take the places of its
parts; the processes that tests start run it compiled, as ``make setup`` leaves it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable

import pytest
from hypothesis import settings

from lb.native.finder import CompiledFinder

sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, CompiledFinder)]

settings.register_profile("same every time", derandomize=True)
settings.load_profile("same every time")

SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
"""Debian keeps servers in sbin, which is not on the PATH of everybody."""

PACKAGES = {"nginx": "nginx-light", "ss": "iproute2"}
"""Program -> Debian package, where the names differ."""


@pytest.fixture(scope="session")
def requires() -> Callable[[str], str]:
    """``requires("nginx")`` is the program's path; the test skips, on CI fails, where it is missing."""
    return find_program


def find_program(program: str) -> str:
    path = shutil.which(program, path=SEARCH_PATH)
    if path is None:
        text = f"{program} is not installed (apt-get install {PACKAGES.get(program, program)})"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(text)
        pytest.skip(text)
    return path
