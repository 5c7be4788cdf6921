"""Where the modules of the data path come from: compiled for this machine, or as they are written.

Runs before any other module of the package is imported, so it knows only the standard library. A build
belongs to the exact sources it was made from: its directory is named after their digest, so a stale
one is never found. ``LB_NATIVE=0`` leaves a build aside.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

COMPILED = (
    "lb.config.url_paths",
    "lb.http1.fields", "lb.http1.request", "lb.http1.response", "lb.http1.chunked", "lb.http1.forwarded", "lb.http1.orca",
    "lb.policies.latency", "lb.policies.peak_ewma", "lb.policies.pairs", "lb.policies.score",
    "lb.policies.round_robin", "lb.policies.weighted_round_robin", "lb.policies.least_connections", "lb.policies.least_response_time",
    "lb.policies.mean_time", "lb.policies.probe_pool", "lb.policies.prequal",
    "lb.policies.portions",
    "lb.policies.power_of_two", "lb.policies.random", "lb.policies.ip_hash", "lb.policies.adaptive",
    "lb.policies.consistent_hash", "lb.policies.slots", "lb.policies.ring", "lb.policies.contract_hash",
    "lb.policies.maglev", "lb.policies.rendezvous", "lb.policies.bounded", "lb.policies.tables",
    "lb.policies.sticky_round_robin", "lb.resilience.outlier", "lb.state.tickets", "lb.state.clients",
    "lb.proxy.access_log", "lb.proxy.answer", "lb.proxy.attempt", "lb.proxy.body", "lb.proxy.cells",
    "lb.proxy.connection", "lb.proxy.core", "lb.proxy.date", "lb.proxy.deadlines", "lb.proxy.eligible", "lb.proxy.exchange",
    "lb.proxy.forward", "lb.proxy.front", "lb.proxy.hash_key", "lb.proxy.load_reports", "lb.proxy.local", "lb.proxy.member",
    "lb.proxy.pool", "lb.proxy.regions", "lb.proxy.reply", "lb.proxy.router", "lb.proxy.routes", "lb.proxy.serve",
    "lb.proxy.sticky", "lb.proxy.stream",
    "lb.proxy.upload", "lb.proxy.waiting",
)  # fmt: skip
"""What a request passes through. They are compiled together: their classes know each other's layout."""

_SOURCES = ("model.py", "errors.py", "config/url_paths.py", "http1", "policies", "resilience", "state", "proxy")
"""A compiled module checks the types it is handed, so those that it does not contain count as well."""

PACKAGE = Path(__file__).parent.parent
BUILDS = PACKAGE / "_native"
SUFFIX = EXTENSION_SUFFIXES[0]


class CompiledFinder:
    """Finds the modules of one build: files named by module, ``lb.proxy.core.cpython-311-….so``.

    On ``sys.meta_path``, where a ``find_spec`` is all that counts: ``importlib.abc`` would cost every process 25 ms.
    """

    def __init__(self, build: Path) -> None:
        self.files = {file.name.removesuffix(SUFFIX): str(file) for file in build.iterdir()}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self.files.get(fullname)
        return spec_from_file_location(fullname, file) if file is not None else None


def build_directory() -> Path:
    """Where a build of these sources for this interpreter is, or would be."""
    digest = sha256(SUFFIX.encode())
    for source in _SOURCES:
        for file in sorted((PACKAGE / source).glob("*.py")) or [PACKAGE / source]:
            digest.update(b"%b\0%b\0" % (file.name.encode(), file.read_bytes()))
    return BUILDS / digest.hexdigest()[:16]


def prefer_compiled() -> None:
    """From now on imports take the compiled modules, if there are any of these very sources."""
    if os.environ.get("LB_NATIVE") == "0":
        return
    with suppress(OSError):  # a build that this user may not read is none
        if BUILDS.is_dir() and (build := build_directory()).is_dir():
            sys.meta_path.insert(0, CompiledFinder(build))


def data_path() -> str:
    """What this process runs, for people; if it could run faster, what to do."""
    if is_compiled():
        return "compiled"
    if os.environ.get("LB_NATIVE") == "0":
        return "as written: LB_NATIVE=0"
    with suppress(OSError):
        if any(file.name.endswith(SUFFIX) for file in BUILDS.glob("*/*")):
            return "not compiled: the build is of other sources, run lb native again"
    return "not compiled: lb native"


def is_compiled() -> bool:
    """Whether this process runs the compiled data path."""
    return any(isinstance(finder, CompiledFinder) for finder in sys.meta_path)
