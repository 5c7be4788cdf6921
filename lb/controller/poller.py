"""Keeps one backend's load cells in the segment fresh for the ``adaptive`` policy."""

from __future__ import annotations

import logging
import random
import time

from lb.controller.cells import LoadCells
from lb.controller.periodic import Periodic
from lb.health.checker import JITTER
from lb.health.exchange import ExchangeError
from lb.health.load import LoadTarget, fetch_load

STALE_INTERVALS = 3
"""A report older than this many polls says nothing any more; the policy then treats the backend as unpolled."""
_log = logging.getLogger("lb.health")


class LoadPoller:
    """One per backend whose pool may be balanced by ``adaptive``. A failed poll leaves the last numbers."""

    def __init__(self, name: str, target: LoadTarget, interval_s: float, cells: LoadCells) -> None:
        self.name = name
        self.target = target
        self.interval_s = interval_s
        self._cells = cells
        self._problem = ""
        self._loop = Periodic(f"poll {name}", self._step)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        self._loop.stop()

    def move_to(self, cells: LoadCells) -> None:
        """Go on in another segment; the next poll fills it."""
        self._cells = cells

    def retire(self) -> None:
        """Stop because nobody needs the numbers: they must not be taken for fresh ones later."""
        self.stop()
        self._cells.expire(time.monotonic_ns())

    def _step(self) -> float:
        started = time.monotonic()
        try:
            self._cells.write(fetch_load(self.target), time.monotonic_ns())
            self._report("")
        except ExchangeError as error:
            self._report(str(error))
        now_ns = time.monotonic_ns()
        self._cells.expire(now_ns - round(STALE_INTERVALS * self.interval_s * 1e9))
        wait_s = self.interval_s * (1 - JITTER + 2 * JITTER * random.random())
        return max(0.0, wait_s - (time.monotonic() - started))

    def _report(self, problem: str) -> None:
        """One line per change."""
        if problem and not self._problem:
            _log.warning('load backend=%s polled=no reason="%s"', self.name, problem)
        elif self._problem and not problem:
            _log.info("load backend=%s polled=yes", self.name)
        self._problem = problem
