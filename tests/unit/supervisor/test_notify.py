from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from lb.supervisor.notify import notify, watchdog_interval_s


@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_hears_it(tmp_path: Path, is_abstract: bool) -> None:
    name = f"@lb-test-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name.replace("@", "\0", 1))
        systemd.settimeout(5)
        notify("READY=1", "STATUS=all well", environ={"NOTIFY_SOCKET": name})
        assert systemd.recv(4096) == b"READY=1\nSTATUS=all well"


def test_nobody_to_tell_is_no_error(tmp_path: Path) -> None:
    notify("READY=1", environ={})
    notify("READY=1", environ={"NOTIFY_SOCKET": str(tmp_path / "gone")})


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_how_often_the_watchdog_is_fed(environ: dict[str, str], interval_s: float | None) -> None:
    assert watchdog_interval_s(environ) == interval_s
