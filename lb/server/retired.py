"""Segments that a worker has left for another one, until nothing of it can count in them any more.

A request that began before goes on in the core it began in, with that core's cells and tickets. Tickets
lock by the segment's descriptor, so it must not be closed, and its number not be given to another
file, while such a core is in use. Knows nothing of what a core does.
"""

from __future__ import annotations

from weakref import ref

from lb.state.segment import Segment


class Basis:
    """What cores were built on. Each of them holds it, so it lives as long as the last that is in use."""


class RetiredSegments:
    """Belongs to one worker; looked at about once a second."""

    def __init__(self) -> None:
        self._left: list[tuple[Segment, ref[Basis]]] = []

    def add(self, segment: Segment, basis: Basis) -> None:
        """``basis``: held by every core that was built on it."""
        self._left.append((segment, ref(basis)))

    def close_unused(self) -> None:
        """Lets go of those whose last core is gone. No lock of ours is held between two looks: closing
        a descriptor drops them, should the old segment and the new one be the same file."""
        still_used = []
        for segment, basis in self._left:
            if basis() is not None:
                still_used.append((segment, basis))
            else:
                segment.close()
        self._left = still_used
