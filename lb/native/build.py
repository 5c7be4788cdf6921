"""Compiling the data path with mypyc: the same Python, as C. ``lb native`` calls it, nothing else does.

A build appears whole or not at all, and takes the place of those of other sources for the same Python and as quick.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from lb.native.finder import BUILDS, COMPILED, PACKAGE, SUFFIX, build_directory, is_quick, is_wanted

READABLE = 0o755
"""Whatever the umask: who runs the balancer is seldom who compiled it."""

_RECIPE = """
import sys
from mypyc.build import mypycify
from setuptools import setup

level, *sources = sys.argv[1:]
modules = mypycify(["--ignore-missing-imports", *sources], opt_level=level, debug_level="0", group_name="lb_native")
setup(name="lb-native", packages=[], ext_modules=modules, script_args=["-q", "build_ext", "--build-lib", "built"])
"""

_FLAGS = "-Wno-misleading-indentation"
"""Among what Python asks the compiler to warn of; on C that is indented as mypyc's is, it is a third of the time."""


class BuildError(Exception):
    """Why nothing was compiled, and what to do."""


def missing() -> str:
    """What has to be installed before anything can be compiled; empty: nothing."""
    if find_spec("mypyc") is None or find_spec("setuptools") is None:
        return "mypyc is not installed (pip install 'mypy[mypyc]' setuptools)"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler {compiler!r} (Debian, Ubuntu: apt-get install gcc)"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Python.h is missing (Debian, Ubuntu: apt-get install python3-dev)"
    return ""


def build() -> str:
    """Compiles and returns the build's directory. Takes about 50 s of one core. BuildError if it cannot."""
    if what := missing():
        raise BuildError(what)
    try:
        os.makedirs(BUILDS, exist_ok=True)
        with TemporaryDirectory(dir=BUILDS, prefix=".building-") as scratch:
            return _installed(_compiled(Path(scratch)))
    except OSError as error:
        raise BuildError(f"{error.filename or BUILDS}: {error.strerror}") from error


def _compiled(scratch: Path) -> Path:
    """The extension modules, each named by its module, in a directory of their own."""
    shutil.copytree(PACKAGE, scratch / "lb", ignore=shutil.ignore_patterns("_native", "__pycache__"))
    sources = [f"{name.replace('.', '/')}.py" for name in COMPILED]
    environ = {**os.environ, "CFLAGS": f"{os.environ.get('CFLAGS', '')} {_FLAGS}".strip()}
    command = [sys.executable, "-c", _RECIPE, "0" if is_quick() else "2", *sources]
    run = subprocess.run(command, cwd=scratch, env=environ, capture_output=True, text=True)
    if run.returncode:
        raise BuildError(f"mypyc failed:\n{run.stdout}{run.stderr}")
    named = scratch / "named"
    named.mkdir()
    for file in (scratch / "built").rglob(f"*{SUFFIX}"):
        file.chmod(READABLE)
        file.rename(named / ".".join(file.relative_to(scratch / "built").parts))
    return named


def _installed(named: Path) -> str:
    final = build_directory()
    remove()
    for directory in (BUILDS, named):
        os.chmod(directory, READABLE)
    named.rename(final)
    return final


def remove() -> None:
    """Removes what was compiled for this Python. A running process keeps what it has loaded."""
    for build in filter(lambda build: is_wanted(build.name), Path(BUILDS).glob("*/")):
        if any(file.name.endswith(SUFFIX) for file in build.iterdir()):
            shutil.rmtree(build)
