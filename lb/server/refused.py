"""What a worker knows of a configuration that was refused: that there is one, since when, where it says why.

Not why: configurations hold secrets, and a status listener is open to more people than the file is.
"""

from __future__ import annotations

import os

from lb.state.reload import last_reload, reload_path


class RefusedReload:
    """``problem`` is empty unless the last attempt to put a configuration in force was refused."""

    def __init__(self) -> None:
        self.problem = ""
        self._seen: tuple[int, ...] = ()

    def look(self, state_dir: str) -> None:
        """One system call while nothing has changed; the file is read only when it is another one. Never raises."""
        identity = _identity(reload_path(state_dir))
        if identity == self._seen:
            return
        self._seen = identity
        last = last_reload(state_dir)
        refusal = last.refusal if last else ""
        self.problem = f"{refusal}; {reload_path(state_dir)} says why" if refusal else ""


def _identity(path: str) -> tuple[int, ...]:
    """Empty if there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
