"""gunicorn's settings of the data plane, with workers that can be made to die where they hold a shared lock.

While there is a file ``die`` beside the configuration, the next one that is about to let go of the lock of
a column (that of the order in which backends take turns) removes the file and is killed instead.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from pathlib import Path
from typing import Any

from lb.server.gunicorn_conf import *  # noqa: F403


def post_fork(server: Any, worker: Any) -> None:
    from lb.state.locks import column_byte

    word = Path(os.environ["LB_CONFIG"]).with_name("die")
    usual, columns = fcntl.lockf, column_byte(0)

    def lockf(fd: int, operation: int, length: int = 0, start: int = 0, whence: int = 0) -> Any:
        if operation == fcntl.LOCK_UN and start >= columns and word.exists():
            with contextlib.suppress(FileNotFoundError):  # another was quicker
                word.rename(word.with_name("died"))
                os.kill(os.getpid(), signal.SIGKILL)
        return usual(fd, operation, length, start, whence)

    fcntl.lockf = lockf  # type: ignore[assignment]
