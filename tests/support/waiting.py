"""Waiting for a state: looked at again and again, never slept for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 60.0
"""Where nobody is promised a time: long enough for a machine that runs much else."""
T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T], deadline_s: float = PATIENCE_S) -> T:
    """The first true answer of ``look``."""
    deadline = time.monotonic() + deadline_s
    while not (answer := look()):
        assert time.monotonic() < deadline, f"waited {deadline_s:g} s for {what}"
        time.sleep(0.02)
    return answer
