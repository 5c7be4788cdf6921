"""Where the modules of the data path come from: compiled for this machine, or as they are written.

Runs before any other module of the package is imported, in every process of ours, so it knows only what Python itself
has loaded by then (``pathlib`` and ``hashlib`` are 10 ms of a start). A build belongs to the exact sources it was made
from: its directory is named after their digest, so a stale one is never found. ``LB_NATIVE=0`` leaves a build aside.
With ``LB_NATIVE=quick`` builds are made without the compiler's optimisation, in half the time, and only those are found.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES

TYPE_CHECKING = False  # as type checkers have it, without ``typing``
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

COMPILED = (
    "lb.config.url_paths",
    "lb.http1.fields", "lb.http1.request", "lb.http1.response", "lb.http1.chunked", "lb.http1.forwarded", "lb.http1.orca",
    "lb.policies.latency", "lb.policies.peak_ewma", "lb.policies.pairs", "lb.policies.score",
    "lb.policies.round_robin", "lb.policies.weighted_round_robin", "lb.policies.least_connections", "lb.policies.least_response_time",
    "lb.policies.mean_time", "lb.policies.probe_pool", "lb.policies.prequal",
    "lb.policies.portions", "lb.policies.groups",
    "lb.policies.power_of_two", "lb.policies.random", "lb.policies.ip_hash", "lb.policies.adaptive",
    "lb.policies.consistent_hash", "lb.policies.slots", "lb.policies.ring", "lb.policies.contract_hash",
    "lb.policies.maglev", "lb.policies.rendezvous", "lb.policies.bounded", "lb.policies.tables",
    "lb.policies.sticky_round_robin", "lb.resilience.gcra", "lb.resilience.outlier", "lb.state.bucket", "lb.state.tickets", "lb.state.clients",
    "lb.proxy.access_log", "lb.proxy.answer", "lb.proxy.attempt", "lb.proxy.body", "lb.proxy.cells",
    "lb.proxy.connection", "lb.proxy.core", "lb.proxy.date", "lb.proxy.deadlines", "lb.proxy.eligible", "lb.proxy.exchange",
    "lb.proxy.forward", "lb.proxy.front", "lb.proxy.hash_key", "lb.proxy.load_reports", "lb.proxy.local", "lb.proxy.member",
    "lb.proxy.pool", "lb.proxy.rate_limit", "lb.proxy.regions", "lb.proxy.reply", "lb.proxy.room", "lb.proxy.router", "lb.proxy.routes", "lb.proxy.serve",
    "lb.proxy.sticky", "lb.proxy.stream",
    "lb.proxy.upload", "lb.proxy.waiting",
)  # fmt: skip
"""What a request passes through. They are compiled together: their classes know each other's layout."""

_SOURCES = ("model.py", "errors.py", "config/url_paths.py", "http1", "policies", "resilience", "state", "proxy")
"""A compiled module checks the types it is handed, so those that it does not contain count as well."""

PACKAGE = os.path.dirname(os.path.dirname(__file__))
BUILDS = os.path.join(PACKAGE, "_native")
SUFFIX = EXTENSION_SUFFIXES[0]
_QUICK = "-quick"


class CompiledFinder:
    """Finds the modules of one build: files named by module, ``lb.proxy.core.cpython-311-….so``.

    On ``sys.meta_path``, where a ``find_spec`` is all that counts: ``importlib.abc`` would cost every process 25 ms.
    """

    def __init__(self, build: str) -> None:
        self.files = {name.removesuffix(SUFFIX): os.path.join(build, name) for name in os.listdir(build)}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self.files.get(fullname)
        if file is None:
            return None
        from importlib.util import spec_from_file_location

        return spec_from_file_location(fullname, file)


def is_quick() -> bool:
    """Whether builds are for tests: the same C, made in a hurry."""
    return os.environ.get("LB_NATIVE") == "quick"


def is_wanted(build: str) -> bool:
    """Whether a build, by the name of its directory, is of the kind that is made and found now."""
    return build.endswith(_QUICK) == is_quick()


def build_directory() -> str:
    """Where a build of these sources for this interpreter is, or would be."""
    from hashlib import sha256

    digest = sha256(SUFFIX.encode())
    for source in _SOURCES:
        for file in _files(os.path.join(PACKAGE, source)):
            with open(file, "rb") as opened:
                digest.update(b"%b\0%b\0" % (os.path.basename(file).encode(), opened.read()))
    return os.path.join(BUILDS, digest.hexdigest()[:16] + (_QUICK if is_quick() else ""))


def _files(source: str) -> list[str]:
    """The modules of a package, or the one module."""
    if not os.path.isdir(source):
        return [source]
    return [os.path.join(source, name) for name in sorted(os.listdir(source)) if name.endswith(".py")]


def prefer_compiled() -> None:
    """From now on imports take the compiled modules, if there are any of these very sources."""
    if os.environ.get("LB_NATIVE") == "0":
        return
    try:
        if os.path.isdir(BUILDS) and os.path.isdir(build := build_directory()):
            sys.meta_path.insert(0, CompiledFinder(build))
    except OSError:  # a build that this user may not read is none
        return


def data_path() -> str:
    """What this process runs, for people; if it could run faster, what to do."""
    if is_compiled():
        return "compiled"
    if os.environ.get("LB_NATIVE") == "0":
        return "as written: LB_NATIVE=0"
    return (
        "not compiled: the build is of other sources, run lb native again" if _is_any() else "not compiled: lb native"
    )


def _is_any() -> bool:
    try:
        builds = [os.path.join(BUILDS, name) for name in os.listdir(BUILDS) if is_wanted(name)]
        return any(name.endswith(SUFFIX) for build in builds for name in os.listdir(build))
    except OSError:
        return False


def is_compiled() -> bool:
    """Whether this process runs the compiled data path."""
    return any(isinstance(finder, CompiledFinder) for finder in sys.meta_path)
