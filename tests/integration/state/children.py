"""Real processes for the shared memory tests: forked, talked to over pipes, killed without mercy."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.connection import wait
from types import TracebackType

PATIENCE_S = 20.0


class Child:
    """A process that runs ``body(child)``. There, ``say`` and ``hear`` are the other ends of the
    parent's ``hear`` and ``ask``; lines of bytes. Leaving the ``with`` block kills and waits."""

    def __init__(self, body: Callable[[Child], object]) -> None:
        down_read, down_write = os.pipe()
        up_read, up_write = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the child never touches another thread's locks
            self.pid = os.fork()
        parent = self.pid != 0
        self.reads, self._writes = (up_read, down_write) if parent else (down_read, up_write)
        for fd in (down_read, up_write) if parent else (up_read, down_write):
            os.close(fd)
        self._buffer = b""
        if not parent:
            self._run(body)

    def _run(self, body: Callable[[Child], object]) -> None:
        status = 1
        faulthandler.disable()  # some die of SIGBUS on purpose
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            body(self)
            status = 0
        except BrokenPipeError:
            pass  # the parent has gone
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def say(self, *words: object) -> None:
        os.write(self._writes, " ".join(map(str, words)).encode() + b"\n")

    def hear(self) -> list[str]:
        """The next line's words. Fails when the other side is gone or silent for too long."""
        while b"\n" not in self._buffer:
            assert wait([self.reads], PATIENCE_S), f"nothing heard for {PATIENCE_S:g} s"
            chunk = os.read(self.reads, 65536)
            assert chunk, "the other side is gone"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode().split()

    def ask(self, *words: object) -> list[str]:
        self.say(*words)
        return self.hear()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """The wait status; once only."""
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return status

    def kill(self) -> None:
        if self.pid:
            self.signal(signal.SIGKILL)
            self.wait()

    def stop(self) -> None:
        """SIGSTOP, and wait until it really stands still."""
        self.signal(signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def close(self) -> None:
        self.kill()
        for fd in (self.reads, self._writes):
            os.close(fd)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def eventually(claim: Callable[[], bool], what: str) -> None:
    """Wait for a state, not for a time."""
    deadline = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.002)
