"""``state.dir/reload.json``: how the last attempt to put a configuration in force ended.

Written by whoever asked for it, read by the controller when somebody looks and by workers when it changes. Advice for people and
alerts, nothing depends on it.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reload:
    """``problems`` is empty if it was put in force. ``at_s``: Unix time of the attempt."""

    at_s: float
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        """What is wrong and why, for people; empty if nothing is."""
        return f"{self.refusal}: {'; '.join(self.problems)}" if self.problems else ""

    @property
    def refusal(self) -> str:
        """What is wrong and since when, without the reasons; empty if nothing is."""
        if not self.problems:
            return ""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.at_s))
        return f"configuration refused at {stamp}, the one before is in force"


def record(state_dir: str, problems: Sequence[str]) -> None:
    """Replace the file in one step. A directory that takes no file (disk full) is no reason to stop."""
    path = reload_path(state_dir)
    data = {"ok": not problems, "time": time.time(), "problems": list(problems)}
    with contextlib.suppress(OSError):
        fd = os.open(f"{path}.tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(data, file)
        os.replace(f"{path}.tmp", path)


def last_reload(state_dir: str) -> Reload | None:
    """None if there is no file that can be read."""
    try:
        with open(reload_path(state_dir), encoding="utf-8") as file:
            data = json.load(file)
        return Reload(float(data["time"]), tuple(map(str, data["problems"])))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def reload_path(state_dir: str) -> str:
    return os.path.join(state_dir, "reload.json")
