"""CPU time and memory of process trees, and starting and ending them by pid.

CPU time is user + system as the kernel accounts it (ticks of 10 ms, so a window of a second is
right to 1 %). Memory is PSS where ``smaps_rollup`` may be read (pages shared by n processes count
1/n each), else RSS.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

CpuByPid = dict[int, float]


def tree(root: int) -> list[int]:
    """``root`` and everything below it that lives now."""
    try:
        process = psutil.Process(root)
        return [root, *(child.pid for child in process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def cpu_by_pid(pids: Iterable[int]) -> CpuByPid:
    """CPU seconds each process has used so far; a process that is gone is left out."""
    used: CpuByPid = {}
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.NoSuchProcess:
            continue
        used[pid] = times.user + times.system
    return used


def cpu_spent_s(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    """A process born in between counts from zero; one that ended in between is lost."""
    return sum(used - before.get(pid, 0.0) for pid, used in after.items())


def memory_bytes(pids: Iterable[int]) -> int:
    return sum(_memory_bytes(pid) for pid in pids)


def _memory_bytes(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return int(psutil.Process(pid).memory_info().rss)
    line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) * 1024


def allow_many_files() -> None:
    """1,500 held connections need descriptors, here and in everything we start."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pinned(command: list[str], cores: str) -> list[str]:
    """``cores`` as taskset writes them (``0``, ``0,1``); empty: not pinned."""
    return ["taskset", "-c", cores, *command] if cores else command


def start(command: list[str], log: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """In its own session, so that a Ctrl-C at the bench reaches it only through ``stop``."""
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )


def stop(process: subprocess.Popen[bytes], patience_s: float = 10.0) -> None:
    """TERM, then KILL, for the whole tree; returns when none of it is left."""
    family = _alive(tree(process.pid))
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(family, timeout=patience_s)
    for survivor in left:
        survivor.send_signal(signal.SIGKILL)
    psutil.wait_procs(left, timeout=patience_s)


def _alive(pids: Iterable[int]) -> list[psutil.Process]:
    found = []
    for pid in pids:
        try:
            found.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    return found


def wait_until_quiet(pids: list[int], cpu_share: float = 0.05, deadline_s: float = 10.0) -> None:
    """Returns when the processes together use less than ``cpu_share`` of a core, or at the deadline."""
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        before = cpu_by_pid(pids)
        time.sleep(0.3)
        if cpu_spent_s(before, cpu_by_pid(pids)) < 0.3 * cpu_share:
            return
