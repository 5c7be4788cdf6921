"""What a started process finds in its hands, asked of a real one."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import Any

from lb.supervisor.spawn import Program, clean, spawn

REPORT = """
import json, os, signal, socket
fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
report = {
    "pid": os.getpid(), "group": os.getpgid(0),
    "fds": [fd for fd in fds if os.path.exists(f"/proc/self/fd/{fd}")],
    "ports": [socket.socket(fileno=fd).getsockname()[1] for fd in range(3, 3 + int(os.environ.get("LISTEN_FDS", 0)))],
    "environ": {name: os.environ.get(name) for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")},
    "term": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
    "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
}
print(json.dumps(report))
"""


def report_of(sockets: list[socket.socket], names: tuple[str, ...]) -> tuple[int, dict[str, Any]]:
    output = os.memfd_create("output")
    program = Program(
        (sys.executable, "-c", REPORT), clean(os.environ), tuple(s.fileno() for s in sockets), names, output=output
    )
    pid = spawn(program)
    assert os.waitpid(pid, 0)[1] == 0
    text = os.pread(output, 1 << 16, 0)
    os.close(output)
    return pid, json.loads(text)


def test_the_sockets_are_handed_over_in_order_by_the_protocol_of_systemd() -> None:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [sock.getsockname()[1] for sock in sockets]
    pid, report = report_of(sockets[::-1], ("c", "b", "a"))
    assert report["ports"] == ports[::-1]
    assert report["environ"] == {"LISTEN_PID": str(pid), "LISTEN_FDS": "3", "LISTEN_FDNAMES": "c:b:a"}
    for sock in sockets:
        sock.close()


def test_nothing_else_is_handed_over() -> None:
    stray = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(stray, True)
    sock = socket.create_server(("127.0.0.1", 0))
    _, report = report_of([sock], ("a",))
    assert report["fds"] == [0, 1, 2, 3]
    os.close(stray)
    sock.close()


def test_it_leads_a_process_group_and_hears_signals_as_usual() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pid, report = report_of([], ())
    signal.signal(signal.SIGTERM, before)
    assert report["group"] == pid
    assert report["term"] is True
    assert report["blocked"] == 0


def test_what_is_for_the_supervisor_alone_is_stripped() -> None:
    environ = {"NOTIFY_SOCKET": "/x", "GUNICORN_CMD_ARGS": "--reload", "LISTEN_FDS": "1", "HOME": "/root"}
    assert clean(environ) == {"HOME": "/root"}


def test_a_program_that_is_not_there_ends_with_127_and_a_line() -> None:
    errors = os.memfd_create("errors")
    pid = spawn(Program(("/nonexistent/python",), {}, errors=errors))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 127
    assert b"cannot start /nonexistent/python" in os.pread(errors, 4096, 0)
    os.close(errors)


def test_no_descriptor_is_left_behind() -> None:
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(5):
        report_of([], ())
    left = set(os.listdir("/proc/self/fd")) - before
    assert len(left) <= 1, left  # the one that lists them; what other tests left may go meanwhile
