"""``state.dir/lb.pid``: one supervisor per state directory, and which process it is.

The file is locked for as long as its owner lives (``flock`` goes with the process, however it
dies), so a stale file is never mistaken for a running supervisor, nor a reused pid.
"""

from __future__ import annotations

import contextlib
import fcntl
import os


class PidFile:
    """Ours while this object is open."""

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self.fd = fd

    @classmethod
    def claim(cls, state_dir: str) -> PidFile | None:
        """Lock the directory's file and write our pid; None if another process has it."""
        path = pid_path(state_dir)
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                return None
            if _is_file(fd, path):
                break
            os.close(fd)  # its owner removed it between our two calls: we locked a file without a name
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return cls(path, fd)

    @classmethod
    def adopt(cls, state_dir: str, fd: int) -> PidFile:
        """The one that the previous image of this process claimed; ``flock`` goes on across an exec."""
        os.set_inheritable(fd, False)
        return cls(pid_path(state_dir), fd)

    def is_in(self, state_dir: str) -> bool:
        return self.path == pid_path(state_dir)

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        os.close(self.fd)


def pid_path(state_dir: str) -> str:
    return os.path.join(state_dir, "lb.pid")


def _is_file(fd: int, path: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), os.stat(path))
    return False


def owner(state_dir: str) -> int | None:
    """Pid of the running supervisor of a state directory; None if there is none."""
    try:
        fd = os.open(pid_path(state_dir), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        text = os.pread(fd, 32, 0).strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(fd)
