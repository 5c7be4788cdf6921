"""What a balancer under test is: a name, where its program is, and how to run it in front of backends."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import ports, processes


@dataclass(frozen=True, slots=True)
class Site:
    """Where one balancer runs. ``policy`` is in the system's own words; empty: its default.

    ``cores`` is a taskset list, empty: not pinned. ``directory`` is its own and is thrown away.
    """

    directory: Path
    port: int
    backends: tuple[int, ...]
    cores: str = "0"
    workers: int = 1
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Launch:
    """What to execute."""

    command: list[str]
    env: Mapping[str, str] = field(default_factory=dict)


WorkerPids = Callable[[Site, list[int]], list[int]]


Lack = Callable[[Site, list[int]], str]


def nothing(site: Site, tree: list[int]) -> str:
    """The default of ``System.lacks``: answering is all there is to being ready."""
    return ""


CleanUp = Callable[[Site], None]


def leave_nothing(site: Site) -> None:
    """The default of ``System.clean_up``: all it wrote is in its directory."""


def every_process(site: Site, tree: list[int]) -> list[int]:
    """The default of ``System.workers``: all processes serve."""
    return tree


@dataclass(frozen=True, slots=True)
class System:
    """``prepare`` writes the configuration into ``site.directory`` and says what to execute."""

    name: str
    program: Callable[[], str | None]
    prepare: Callable[[str, Site], Launch]
    version: Callable[[str], str]
    workers: WorkerPids = every_process
    lacks: Lack = nothing
    """What it still lacks to do all the work it is measured for; empty: nothing."""
    clean_up: CleanUp = leave_nothing
    """Removes what it leaves outside its directory, after its processes have ended."""
    access_log: str = ""
    """File in the site's directory that gets a line per request; empty: it keeps none."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """A balancer that answers. ``pids`` is its whole tree, ``worker_pids`` those that serve requests."""

    system: System
    site: Site
    process: subprocess.Popen[bytes]
    answered_at: float
    """On the monotonic clock: its first 200."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.site.port}"

    def pids(self) -> list[int]:
        return processes.tree(self.process.pid)

    def worker_pids(self) -> list[int]:
        return self.system.workers(self.site, self.pids())


@contextlib.contextmanager
def running(system: System, site: Site) -> Iterator[Running]:
    """Yields when it answers 200; its whole process tree has ended afterwards.

    Raises RuntimeError with the end of what it wrote when it does not answer in time.
    """
    program = system.program()
    if program is None:
        raise RuntimeError(f"{system.name} is not installed")
    site.directory.mkdir(parents=True, exist_ok=True)
    launch = system.prepare(program, site)
    log = site.directory / "output.log"
    process = processes.start(processes.pinned(launch.command, site.cores), log, launch.env)
    try:
        if not ports.wait_for(site.port):
            raise RuntimeError(f"{system.name} does not answer:\n{log.read_text(errors='replace')[-2000:]}")
        balancer = Running(system, site, process, time.monotonic())
        _wait_until_complete(balancer)
        yield balancer
    finally:
        processes.stop(process)
        system.clean_up(site)


def _wait_until_complete(balancer: Running, deadline_s: float = 10.0) -> None:
    """RuntimeError if it still lacks something at the deadline: a balancer that does less than it
    claims must not be measured."""
    deadline = time.monotonic() + deadline_s
    while lack := balancer.system.lacks(balancer.site, balancer.pids()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{balancer.system.name} is not complete: {lack}")
        time.sleep(0.05)


def find(name: str, variable: str = "") -> str | None:
    """A program by environment variable, on PATH, in sbin, or beside our interpreter."""
    named = os.environ.get(variable, "") if variable else ""
    places = os.pathsep.join(
        [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", str(Path(sys.executable).parent)]
    )
    return shutil.which(named or name, path=places)


def first_line(command: list[str]) -> str:
    """What a program says of its version."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return (done.stdout or done.stderr).strip().splitlines()[0]
