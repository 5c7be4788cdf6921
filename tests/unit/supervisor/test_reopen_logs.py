"""SIGUSR1 is passed on to those that have a handler for it."""

from __future__ import annotations

import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from lb.supervisor.service import Service

WAITS = "import time; time.sleep(60)"


@pytest.mark.parametrize("is_serving", [False, True])
def test_one_that_does_not_serve_yet_is_left_alone(is_serving: bool) -> None:
    with subprocess.Popen([sys.executable, "-c", WAITS]) as child:
        plane = SimpleNamespace(current=SimpleNamespace(pid=child.pid, is_serving=is_serving))
        Service.reopen_logs(SimpleNamespace(_planes=[plane, SimpleNamespace(current=None)]))  # type: ignore[arg-type]
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == (-signal.SIGUSR1 if is_serving else -signal.SIGTERM)
