"""A short-lived child process whose answer is wanted: what it printed and how it ended.

The supervisor runs one at a time: a publisher, or the rehearsal of an upgrade.

Output goes to anonymous memory files, not pipes: nobody has to read along, and a child that prints
much cannot get stuck.

One that is started with ``halfway`` stops once, in ``ask``: what it printed by then is looked at, and it
goes on when it is told to. Both ends of a socket pair, its standard input there; if either process is gone
the other one sees the end of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from lb.supervisor.spawn import Program, spawn

PATIENCE_S = 30.0
"""Then it hangs, and is killed."""
_LONGEST_OUTPUT = 1 << 20
_STDIN = 0


@dataclass(frozen=True, slots=True)
class Result:
    """``code``: the exit status, negative for a signal (as ``subprocess`` has it). ``output``: what it
    printed, but for what it asked about."""

    code: int
    output: str
    errors: str
    has_hung: bool = False

    @property
    def problems(self) -> list[str]:
        """What it said on standard error, or how it ended if it said nothing."""
        if self.has_hung:
            return [f"it took longer than {PATIENCE_S:g} s and was ended", *self.errors.splitlines()]
        return self.errors.splitlines() or [f"ended with status {self.code}"]


class Errands:
    """At most one child at a time. The supervisor's loop reaps it and looks at its deadline."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._then: Callable[[Result], None] = lambda _: None
        self._halfway: Callable[[str], None] = lambda _: None
        self._line: socket.socket | None = None
        self._files = (-1, -1)
        self._asked_bytes = 0
        self.deadline: float | None = None
        self._has_hung = False

    @property
    def pid(self) -> int | None:
        """Of the child that runs now."""
        return self._pid

    @property
    def watched(self) -> list[socket.socket]:
        """What the loop must wait for, so that ``listen`` is called in time."""
        return [self._line] if self._line else []

    def start(
        self,
        argv: tuple[str, ...],
        environ: Mapping[str, str],
        then: Callable[[Result], None],
        halfway: Callable[[str], None] | None = None,
    ) -> None:
        """Run it; ``then`` is called with its result, from ``on_exit``. Only when none runs.

        ``halfway`` is called with what it asks about, from ``listen``; then it waits for ``go_on``."""
        output, errors = (os.memfd_create(name, os.MFD_CLOEXEC) for name in ("output", "errors"))
        self._files, self._asked_bytes, self._then = (output, errors), 0, then
        self._has_hung = False
        self.deadline = time.monotonic() + PATIENCE_S
        program = Program(argv, environ, output=output, errors=errors)
        if halfway is None:
            self._pid = spawn(program)
            return
        self._line, theirs = socket.socketpair()
        self._line.setblocking(False)
        self._halfway = halfway
        with theirs:
            self._pid = spawn(replace(program, input=theirs.fileno()))

    def listen(self) -> None:
        """Hear what the child asks, if it does; nothing if it has ended, which ``on_exit`` will tell."""
        if self._line is None:
            return
        try:
            is_asking = bool(self._line.recv(1))
        except BlockingIOError:
            return
        except OSError:
            is_asking = False
        if is_asking:
            asked = os.pread(self._files[0], _LONGEST_OUTPUT, 0)
            self._asked_bytes = len(asked)
            self._halfway(asked.decode(errors="replace"))
        else:
            self._hang_up()

    def go_on(self) -> None:
        """The answer to the child's question. One that has ended meanwhile is none that we can tell."""
        assert self._line is not None, "it asked nothing"
        self.deadline = time.monotonic() + PATIENCE_S
        with contextlib.suppress(OSError):
            self._line.send(b".")
        self._hang_up()

    def _hang_up(self) -> None:
        if self._line:
            self._line.close()
        self._line = None

    def on_exit(self, pid: int, status: int) -> None:
        """A child was reaped; nothing happens if it is not ours."""
        if pid != self._pid:
            return
        self._hang_up()
        (output, errors), code = self._files, os.waitstatus_to_exitcode(status)
        then, result = self._then, Result(code, _take(output, self._asked_bytes), _take(errors, 0), self._has_hung)
        self._pid = self.deadline = None
        then(result)

    def tick(self, now: float) -> None:
        if self.deadline is not None and now >= self.deadline:
            self._has_hung = True
            self.kill()

    def kill(self) -> None:
        """It ends without a useful result; its continuation still hears of it."""
        if self._pid is not None:
            self.deadline = None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)


def _take(fd: int, offset: int) -> str:
    try:
        return os.pread(fd, _LONGEST_OUTPUT, offset).decode(errors="replace")
    finally:
        os.close(fd)


def ask() -> bool:
    """In a child that was started with ``halfway``: have looked at what was printed so far. Blocks; False if
    whoever is to answer has ended."""
    sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.write(_STDIN, b"?")
        return bool(os.read(_STDIN, 1))
    return False
