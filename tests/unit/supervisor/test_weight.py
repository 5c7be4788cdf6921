"""The supervisor must survive what may go wrong in big libraries, so it does not load them."""

from __future__ import annotations

import subprocess
import sys

FORBIDDEN = ("redis", "ssl", "gevent", "greenlet", "pydantic", "gunicorn", "yaml", "click", "psutil", "werkzeug")
PROGRAM = f"import sys, lb.supervisor.__main__, lb.supervisor.supervisor; print(*(name for name in {FORBIDDEN!r} if name in sys.modules))"


def test_the_supervisor_process_is_light() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
