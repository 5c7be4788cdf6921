"""Waiting for a state: looked at again and again, never slept for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 60.0
"""Where nobody is promised a time: long enough for a machine that runs much else."""
T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T], deadline_s: float = PATIENCE_S) -> T:
    """The first true answer of ``look``. Looking takes a fifth of the time at most: others want to get there."""
    deadline = time.monotonic() + deadline_s
    while True:
        began = time.monotonic()
        if answer := look():
            return answer
        ended = time.monotonic()
        assert ended < deadline, f"waited {deadline_s:g} s for {what}"
        time.sleep(max(0.02, 4 * (ended - began)))
