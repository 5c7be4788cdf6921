"""What one side of a conversation does, as data: the same words for clients and for backends.

A script is a tuple of steps. Bytes are sent; the other steps wait, or end the connection. Both sides
note what they receive on a ``Tape``, so that either can wait for the other without a sleep.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from enum import Enum, auto

PATIENCE_S = 4.0
"""How long a step waits for its mark before the case has failed."""
SHORT_PATIENCE_S = 0.8
"""The same where the case is expected to fail."""


@dataclass(frozen=True)
class Got:
    """Goes on once this side has received ``mark``."""

    mark: bytes


@dataclass(frozen=True)
class TheyGot:
    """Goes on once the other side has received ``mark``."""

    mark: bytes


@dataclass(frozen=True)
class Pieces:
    """Sends ``data`` in pieces of ``size`` bytes, each in a packet of its own."""

    data: bytes
    size: int = 1
    pause_s: float = 0.001


class Verb(Enum):
    HEAD = auto()
    """A backend's first step: goes on at the request's head (else: once its body is here)."""
    BODY = auto()
    """A backend reads the request's body now."""
    ECHO = auto()
    """Sends back whatever comes until the other side ends."""
    CLOSE = auto()
    """FIN."""
    RESET = auto()
    """RST."""
    SILENCE = auto()
    """Says nothing more until the other side leaves."""
    HALF_CLOSE = auto()
    """FIN, and reads on."""


Step = bytes | Got | TheyGot | Pieces | Verb
Script = tuple[Step, ...]


class Tape:
    """Everything one side has received in a case. Threads wait on it."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._data = bytearray()
        self._changed = threading.Condition()

    def __contains__(self, mark: bytes) -> bool:
        return mark in self._data

    def __bytes__(self) -> bytes:
        return bytes(self._data)

    def add(self, data: bytes) -> None:
        with self._changed:
            self._data += data
            self._changed.notify_all()

    def wait_for(self, mark: bytes) -> None:
        """AssertionError if ``mark`` does not come."""
        deadline = time.monotonic() + self._patience_s
        with self._changed:
            while mark not in self._data:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise AssertionError(f"the other side never got {mark!r}; it got {bytes(self._data[-400:])!r}")


class Stage:
    """The two tapes of one case, and how long either side waits for the other."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self.patience_s = patience_s
        self.client = Tape(patience_s)
        self.backend = Tape(patience_s)


def script(steps: Step | Script) -> Script:
    return steps if isinstance(steps, tuple) else (steps,)


def bytes_of(steps: Script) -> bytes:
    """All that a script sends, for a subject that takes a request only whole."""
    return b"".join(
        step if isinstance(step, bytes) else step.data if isinstance(step, Pieces) else b"" for step in steps
    )
