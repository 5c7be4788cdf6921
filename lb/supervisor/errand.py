"""A short-lived child process whose answer is wanted: what it printed and how it ended.

The supervisor runs one at a time: a publisher, or the rehearsal of an upgrade.

Output goes to anonymous memory files, not pipes: nobody has to read along, and a child that prints
much cannot get stuck.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lb.supervisor.spawn import Program, spawn

PATIENCE_S = 30.0
"""Then it hangs, and is killed."""
_LONGEST_OUTPUT = 1 << 20


@dataclass(frozen=True, slots=True)
class Result:
    """``code``: the exit status, negative for a signal (as ``subprocess`` has it)."""

    code: int
    output: str
    errors: str

    @property
    def problems(self) -> list[str]:
        """What it said on standard error, or how it ended if it said nothing."""
        return self.errors.splitlines() or [f"ended with status {self.code}"]


class Errands:
    """At most one child at a time. The supervisor's loop reaps it and looks at its deadline."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._then: Callable[[Result], None] = lambda _: None
        self._files = (-1, -1)
        self.deadline: float | None = None

    @property
    def pid(self) -> int | None:
        """Of the child that runs now."""
        return self._pid

    def start(self, argv: tuple[str, ...], environ: Mapping[str, str], then: Callable[[Result], None]) -> None:
        """Run it; ``then`` is called with its result, from ``on_exit``. Only when none runs."""
        output, errors = (os.memfd_create(name, os.MFD_CLOEXEC) for name in ("output", "errors"))
        self._files, self._then = (output, errors), then
        self.deadline = time.monotonic() + PATIENCE_S
        self._pid = spawn(Program(argv, environ, output=output, errors=errors))

    def on_exit(self, pid: int, status: int) -> None:
        """A child was reaped; nothing happens if it is not ours."""
        if pid != self._pid:
            return
        then, result = self._then, Result(os.waitstatus_to_exitcode(status), *map(_take, self._files))
        self._pid = self.deadline = None
        then(result)

    def tick(self, now: float) -> None:
        if self.deadline is not None and now >= self.deadline:
            self.kill()

    def kill(self) -> None:
        """It ends without a useful result; its continuation still hears of it."""
        if self._pid is not None:
            self.deadline = None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)


def _take(fd: int) -> str:
    try:
        return os.pread(fd, _LONGEST_OUTPUT, 0).decode(errors="replace")
    finally:
        os.close(fd)
