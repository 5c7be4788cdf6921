"""Proof that a balancer which is said to write an access log did: a line per request, or its figures are void."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.bench.systems.base import Running

_FLUSH_S = 3.0
"""Every log here is flushed within a second."""


class LineCount:
    """Lines written so far. The file is emptied when it is counted, or a run would fill the disk."""

    def __init__(self, balancer: Running) -> None:
        log = balancer.system.access_log
        self._path: Path | None = balancer.site.directory / log if log else None
        self._lines = 0

    def take(self) -> int:
        """Only while the balancer is idle: a line written between count and emptying is lost."""
        if self._path is not None and self._path.exists():
            with self._path.open("rb") as log:
                self._lines += sum(block.count(b"\n") for block in iter(lambda: log.read(1 << 20), b""))
            os.truncate(self._path, 0)
        return self._lines

    def lack(self, requests: int) -> str:
        """Says so if there are fewer than 99 lines for 100 requests; else empty."""
        deadline = time.monotonic() + _FLUSH_S
        while self._path is not None and self.take() < 0.99 * requests:
            if time.monotonic() > deadline:
                return f"{self._lines} access log lines for {requests} requests"
            time.sleep(0.1)
        return ""
