"""The configuration file over the API: read it again, or put another one in its place.

The file is validated by a child process before it is touched; what was there is kept as ``FILE.previous``. Under
``lb run`` the supervisor reads it, as after a HUP; else a publisher of our own does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lb.launch import program
from lb.model import Snapshot
from lb.state.operator import Refused
from lb.state.process import RUN_PID
from lb.state.reload import last_reload, record, reload_path
from lb.supervisor.pidfile import owner

PATIENCE_S = 40.0
"""Longer than the supervisor's for its publisher."""
_LOOK_S = 0.02
PREVIOUS_SUFFIX = ".previous"


class ConfigurationRefused(Refused):
    """422; ``problems``: all that is wrong, as values for JSON."""

    def __init__(self, problems: list[Any]) -> None:
        super().__init__(422, "invalid_configuration", "the configuration cannot be used; the one before is in force")
        self.problems = problems


def reload(snapshot: Snapshot) -> None:
    """The file of ``snapshot`` is in force when this returns. ConfigurationRefused; Refused 504 if nobody answers."""
    state_dir = snapshot.config.state.dir
    supervisor = owner(state_dir)
    if supervisor and str(supervisor) == os.environ.get(RUN_PID):
        before = _identity(state_dir)
        os.kill(supervisor, signal.SIGHUP)
        _wait_for_news(state_dir, before, supervisor)
        last = last_reload(state_dir)
        problems = list(last.problems) if last else []
    else:
        problems = _publish(snapshot.config.source)
        record(state_dir, problems)
    if problems:
        raise ConfigurationRefused(problems)


def _identity(state_dir: str) -> tuple[int, int]:
    try:
        found = os.stat(reload_path(state_dir))
    except OSError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns


def _wait_for_news(state_dir: str, before: tuple[int, int], supervisor: int) -> None:
    """Until it has said how it went, or has moved to another state directory, which is good news as well."""
    deadline = time.monotonic() + PATIENCE_S
    while _identity(state_dir) == before and owner(state_dir) == supervisor:
        if time.monotonic() > deadline:
            raise Refused(
                504, "no_answer", f"lb run was told to read the file and has not said how it went in {PATIENCE_S:g} s"
            )
        time.sleep(_LOOK_S)


def _publish(file: str) -> list[str]:
    done = _child("lb.supervisor.publisher", file)
    if done.returncode == 0:
        return []
    return done.stderr.splitlines() or [f"the publisher ended with status {done.returncode}"]


def replace_file(file: str, text: bytes) -> list[Any]:
    """``file`` holds ``text`` afterwards. Its warnings. ConfigurationRefused: nothing has changed; Refused 409 if the
    file cannot be written."""
    with _beside(file, text) as staged:
        report = _examined(staged, file)
        if not report["ok"]:
            raise ConfigurationRefused(report["problems"])
        try:
            _keep_previous(file)
            os.replace(staged, file)
        except OSError as error:
            raise _unwritable(file, error) from error
    return list(report["warnings"])


@contextmanager
def _beside(file: str, text: bytes) -> Iterator[str]:
    """A file in the same directory, because paths in it are relative to that; on disk, with the mode of ``file``."""
    folder, name = os.path.split(file)
    if os.path.islink(file):
        raise Refused(409, "file_not_writable", f"{file} is a link: change what it leads to")
    try:
        descriptor, staged = tempfile.mkstemp(dir=folder, prefix=f".{name}.", suffix=".new")
    except OSError as error:
        raise _unwritable(file, error) from error
    try:
        try:
            with open(descriptor, "wb") as opened:
                opened.write(text)
                opened.flush()
                _look_like(file, descriptor)
                os.fsync(descriptor)
        except OSError as error:
            raise _unwritable(file, error) from error
        yield staged
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(staged)


def _look_like(file: str, descriptor: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        found = os.stat(file)
        os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, found.st_uid, found.st_gid)


def _keep_previous(file: str) -> None:
    staged = f"{file}{PREVIOUS_SUFFIX}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(staged)
    with contextlib.suppress(FileNotFoundError):  # there may be none
        os.link(file, staged)
        os.replace(staged, file + PREVIOUS_SUFFIX)


def _examined(staged: str, file: str) -> dict[str, Any]:
    done = _child("lb.cli.main", "check", "--json", staged)
    try:
        return dict(json.loads(done.stdout.replace(json.dumps(staged)[1:-1], json.dumps(file)[1:-1])))
    except ValueError as error:
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise Refused(503, "not_checked", f"the configuration cannot be checked: {said[-1]}") from error


def _child(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        argv = program(module, *arguments)
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(503, "not_checked", f"no process for it: {error}") from error


def _unwritable(file: str, error: OSError) -> Refused:
    return Refused(409, "file_not_writable", f"{file} cannot be written: {error.strerror}; nothing was changed")
