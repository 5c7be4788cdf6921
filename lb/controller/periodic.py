"""A greenlet that does one thing again and again, can be woken early, and survives its mistakes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event

_RETRY_S = 1.0
_log = logging.getLogger("lb.controller")


class Periodic:
    """Calls ``step`` until stopped; ``step`` does one round and returns the seconds until the next."""

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self.name = name
        self._step = step
        self._wake = Event()
        self._greenlet: Any = None

    def __repr__(self) -> str:
        return f"<Periodic {self.name} {'running' if self._greenlet else 'stopped'}>"

    def start(self) -> None:
        """The first round begins as soon as the hub runs. A second call changes nothing."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Ends the loop, in the middle of a round if need be; returns when it has ended."""
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:
            greenlet.kill()

    def wake(self) -> None:
        """Do the next round now, or once more if one is under way."""
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            self._wake.wait(self._round())

    def _round(self) -> float:
        try:
            return self._step()
        except Exception:  # noqa: BLE001  the outer edge of a loop that has to go on
            _log.exception("loop %s failed, next try in %g s", self.name, _RETRY_S)
            return _RETRY_S
