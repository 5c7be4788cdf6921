"""Signals as bytes in a pipe that the main loop selects on: no work is done in a handler."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Sequence
from socket import socket

from lb.supervisor import early


class Wakeup:
    """Created once, in the main thread. Signals that were held until now are let in here."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in early.HANDLED:
            signal.signal(number, lambda *_: None)
        early.let_in()

    def wait(self, timeout_s: float | None, others: Sequence[socket] = ()) -> list[int]:
        """Signals that came, in order, as soon as there are any; [] after ``timeout_s``, or when one of
        ``others`` has something to say."""
        watched: list[int | socket] = [self._read, *others]
        ready, _, _ = select.select(watched, [], [], timeout_s)
        return list(os.read(self._read, 4096)) if self._read in ready else []

    def hold(self) -> list[int]:
        """Before an exec: from now on signals wait for the new image instead of killing it as it starts.
        Returns those that had come already, which would be lost with the pipe."""
        early.hold()
        return self.wait(0)

    def let_in(self) -> None:
        """There was no exec after all."""
        early.let_in()
