"""``lb run FILE`` becomes the supervisor, or says in a line why it cannot."""

from __future__ import annotations

import subprocess
import sys

_WITHOUT_RIGHTS = """
import sys
from lb.cli import entry
sys.executable, sys.argv = sys.argv[1], ["lb", "run"]
entry.main()
"""


def test_an_interpreter_that_may_not_be_executed_is_named(tmp_path: object) -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT_RIGHTS, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"lb run: {tmp_path} cannot be executed by this user: Permission denied; ")
    assert len(done.stderr.splitlines()) == 1
