"""What our processes cost, by psutil. Labels are role and slot, never a pid: pids are new each restart.

psutil is loaded by the first scrape: it is a twentieth of what a controller's start costs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from lb.metrics.family import Family
from lb.state.process import RUN_PID

Place = tuple[str, str]
"""Role and slot: ``("worker", "3")``, ``("arbiter", "")``, ``("controller", "")``, ``("supervisor", "")`` ..."""


class Usage(NamedTuple):
    started: float
    cpu_s: float
    memory_bytes: int
    open_files: int


class ProcessMeter:
    """Kept over scrapes, so that CPU seconds do not fall back when a dead worker is replaced."""

    def __init__(self) -> None:
        self._last: dict[Place, tuple[tuple[int, float], float]] = {}
        self._ended_cpu_s: dict[Place, float] = {}

    def families(self, processes: Mapping[Place, int]) -> Iterator[Family]:
        """Three families over the processes of this moment; CPU also of places that are empty now."""
        now = {place: usage for place, pid in processes.items() if (usage := self._look(place, pid)) is not None}
        labels = ("role", "slot")
        cpu = sorted((place, self._cpu_s(place)) for place in self._last)
        memory = [(place, usage.memory_bytes) for place, usage in now.items()]
        files = [(place, usage.open_files) for place, usage in now.items()]
        yield Family("lb_process_cpu_seconds_total", "counter", "User and system time", labels, list(cpu))
        yield Family("lb_process_resident_memory_bytes", "gauge", "Resident memory", labels, list(memory))
        yield Family("lb_process_open_fds", "gauge", "Open file descriptors", labels, list(files))

    def _look(self, place: Place, pid: int) -> Usage | None:
        usage = _usage(pid)
        if usage is not None:
            self._remember(place, (pid, usage.started), usage.cpu_s)
        return usage

    def _remember(self, place: Place, process: tuple[int, float], cpu_s: float) -> None:
        known, before_s = self._last.get(place, (process, 0.0))
        if known != process:
            self._ended_cpu_s[place] = self._ended_cpu_s.get(place, 0.0) + before_s
        self._last[place] = (process, cpu_s)

    def _cpu_s(self, place: Place) -> float:
        return self._ended_cpu_s.get(place, 0.0) + self._last[place][1]


def _usage(pid: int) -> Usage | None:
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            cpu = process.cpu_times()
            return Usage(process.create_time(), cpu.user + cpu.system, process.memory_info().rss, process.num_fds())
    except psutil.Error:
        return None  # gone meanwhile, or not ours to look at


def own_place() -> dict[Place, int]:
    return {("controller", ""): os.getpid()}


def starters(environ: Mapping[str, str]) -> dict[Place, int]:
    """What started this process, the controller: its gunicorn, and the supervisor that started that one.

    A gunicorn that was started by hand has a parent too, which is none of ours: ``environ`` names
    the supervisor if there is one, and it counts only while it is that parent.
    """
    arbiter = os.getppid()
    found: dict[Place, int] = {("controller_arbiter", ""): arbiter}
    supervisor = parent_of([arbiter])
    if supervisor is not None and environ.get(RUN_PID) == str(supervisor):
        found["supervisor", ""] = supervisor
    return found


def parent_of(pids: Iterable[int]) -> int | None:
    """The arbiter: parent of the first of these that still runs."""
    import psutil

    for pid in pids:
        try:
            return psutil.Process(pid).ppid()
        except psutil.Error:
            continue
    return None
