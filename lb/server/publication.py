"""Which snapshot a WSGI server's process runs on, when nobody has told it: it publishes one itself.

In a child process, because validating needs what no worker may load.
"""

from __future__ import annotations

import os
import subprocess
from time import monotonic

from lb.errors import ConfigError
from lb.launch import program

_RETRY_PUBLISHING_S = 5.0


class Publication:
    """Finds the snapshot; a failure is remembered for a while, so that not every
    request starts a child process to fail again."""

    def __init__(self) -> None:
        self._failed_at = -_RETRY_PUBLISHING_S
        self._problems: list[str] = []

    def __call__(self) -> str:
        """Path of the snapshot in force: ``LB_SNAPSHOT``, or published now from ``LB_CONFIG`` in a child process.

        ConfigError with every problem if that configuration cannot be used.
        """
        path = os.environ.get("LB_SNAPSHOT")
        if path:
            return path
        if monotonic() - self._failed_at < _RETRY_PUBLISHING_S:
            raise ConfigError(self._problems)
        try:
            return _publish()
        except ConfigError as error:
            self._failed_at, self._problems = monotonic(), error.problems
            raise


def _publish() -> str:
    source = os.environ.get("LB_CONFIG", "lb.yaml")
    done = subprocess.run(program("lb.supervisor.publisher", source), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(done.stderr.strip().splitlines() or [f"{source}: cannot be published"])
    os.environ["LB_SNAPSHOT"] = done.stdout.strip().splitlines()[-1]
    return os.environ["LB_SNAPSHOT"]
