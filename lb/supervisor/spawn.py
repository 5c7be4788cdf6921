"""Starting a process with sockets in its hands, by the protocol of ``sd_listen_fds(3)``.

``fork`` and ``exec`` by hand, because ``LISTEN_PID`` has to be the pid of the new process, which
only that process knows. Knows nothing of what it starts.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

FIRST_FD = 3
NOT_FOR_CHILDREN = (
    "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
    "GUNICORN_CMD_ARGS", "GUNICORN_PID", "GUNICORN_FD", "WEB_CONCURRENCY",
)  # fmt: skip
"""systemd talks to the supervisor alone; gunicorn must do what its conf module says and nothing else."""
_HIGHEST_FD = 1 << 20


@dataclass(frozen=True, slots=True)
class Program:
    """What to start. ``names`` has one entry per socket; ``input``, ``output`` and ``errors`` replace fd 0,
    1 and 2; without ``input`` it has ours, if there is one."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]
    sockets: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    input: int | None = None
    output: int = 1
    errors: int = 2


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` as children get it."""
    return {name: value for name, value in environ.items() if name not in NOT_FOR_CHILDREN}


def spawn(program: Program) -> int:
    """Start it in a process group of its own (a Ctrl-C is for the supervisor, which tells the others)
    and return its pid. A program that cannot be executed ends with status 127 and a line on stderr."""
    with _signals_blocked():
        pid = os.fork()
        if pid == 0:
            _become(program)
        with contextlib.suppress(OSError):  # both sides do it, so that the group is there for either
            os.setpgid(pid, pid)
    return pid


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Until the child has dropped our handlers: it would write into our wake-up pipe."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _become(program: Program) -> None:
    try:
        os.setpgid(0, 0)
        _forget_signals()
        _place_fds(program)
        environ = _with_sockets(program)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(program.argv[0], program.argv, environ)
    except OSError as error:
        os.write(2, f"cannot start {program.argv[0]}: {error.strerror}\n".encode())
    finally:  # never back into the supervisor's code
        os._exit(127)


def _forget_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)


def _place_fds(program: Program) -> None:
    """0, 1, 2, the sockets from 3 on, and nothing else. Out of the way first, so that no ``dup2`` hits
    one that is still to be moved."""
    above = FIRST_FD + len(program.sockets)
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in program.sockets]
    if program.input is not None:
        os.dup2(program.input, 0)
    os.dup2(program.output, 1)
    os.dup2(program.errors, 2)
    for number, fd in enumerate(high, FIRST_FD):
        os.dup2(fd, number)
    os.closerange(above, _HIGHEST_FD)


def _with_sockets(program: Program) -> dict[str, str]:
    if not program.sockets:
        return dict(program.environ)
    return {
        **program.environ,
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": str(len(program.sockets)),
        "LISTEN_FDNAMES": ":".join(program.names),
    }
