"""An order for pools that no other process counts."""

from __future__ import annotations


class LocalTickets:
    """``lb.state.tickets.Tickets`` of this worker alone."""

    def __init__(self) -> None:
        self.cycle = 1
        self._next = 0

    def next(self) -> int:
        self._next += 1
        return self._next - 1

    def settle(self) -> None:
        """Nobody else waits for these."""
