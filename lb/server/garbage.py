"""When a worker's garbage collector runs: never over what stays.

Requests leave nothing for it, and neither do the pools of a configuration that was replaced: both end by reference counts. So
what is loaded at a start, and the members of a large configuration, can be left out of its rounds for good; each round over
the objects of ten thousand backends would hold requests up for 50 ms.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from lb.launch import loaded


class Collector:
    """Of one process. One that was never calmed is somebody else's (a WSGI server's), and left alone."""

    def __init__(self) -> None:
        self._is_ours = False

    def calm(self) -> None:
        """What is loaded now stays: it need not be looked through again and again for cycles while serving."""
        gc.collect()
        loaded()
        gc.set_threshold(10_000, 20, 20)
        self._is_ours = True

    @contextmanager
    def building(self) -> Iterator[None]:
        """What is made in the block stays as well, and is not looked through while it grows either."""
        if not self._is_ours or not gc.isenabled():
            yield
            return
        gc.disable()
        try:
            yield
        finally:
            gc.freeze()
            gc.enable()
