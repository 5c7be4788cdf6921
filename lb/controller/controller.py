"""The controller: follows the snapshot, keeps probing, cleans up after dead workers, says that it lives.

All of its words reach workers through the segment; it never talks to them, and they serve without it.
"""

from __future__ import annotations

import os
import time
from typing import Any

import gevent

from lb.controller.attachment import Attachment
from lb.controller.board import Board
from lb.controller.geo import GeoKeeper
from lb.controller.outliers import Outliers
from lb.controller.parts import shared_parts
from lb.controller.periodic import Periodic
from lb.controller.roster import Roster
from lb.controller.sync import Sync
from lb.model import Snapshot
from lb.state.layout import H_CONTROLLER_BEAT_NS, H_CONTROLLER_PID, H_PROBED_GENERATION, H_STORE, H_STORE_REASON
from lb.state.segment import Segment

FOLLOW_INTERVAL_S = 0.1
KEEP_INTERVAL_S = 0.5


class Controller:
    """One per machine. Two at once (while one replaces the other) come to the same verdicts."""

    def __init__(self, attachment: Attachment | None = None) -> None:
        self.attachment = attachment or Attachment.from_environment()
        self.board = Board()
        self.roster = Roster(self.board)
        self.sync = Sync(lambda link: shared_parts(link, self.board))
        self.board.on_told = lambda: self.sync.wake("verdicts")
        self.geo = GeoKeeper()
        self.outliers = Outliers(self.roster.trust)
        self._applied: tuple[Snapshot | None, Segment | None] = (None, None)
        self._first_round: Any = None
        self._is_running = False
        self._loops = (
            Periodic("follow", self._follow),
            Periodic("keep", self._keep),
            Periodic("outliers", self.outliers.look),
        )

    def __repr__(self) -> str:
        snapshot = self._applied[0]
        return f"<Controller generation={snapshot.generation if snapshot else None}>"

    def start(self) -> None:
        """Spawn the loops and return at once. A second call changes nothing."""
        self._is_running = True
        for loop in self._loops:
            loop.start()

    def attached(self) -> Attachment:
        """What we work on. While the loops run they keep it fresh; otherwise it is looked at now."""
        if not self._is_running:
            self.attachment.refresh()
        return self.attachment

    def stop(self) -> None:
        """End all loops. Verdicts stay in the segment, where the next controller finds them."""
        self._is_running = False
        for loop in self._loops:
            loop.stop()
        self._forget_first_round()
        self.sync.stop()
        self.geo.stop()
        self.roster.stop()
        self._applied = (None, None)

    def _follow(self) -> float:
        self.attachment.refresh()
        snapshot, segment = self.attachment.snapshot, self.attachment.segment
        if snapshot is not None and segment is not None and self._is_news(snapshot, segment):
            self._forget_first_round()
            self.roster.apply(snapshot, segment)
            self.sync.apply(snapshot, segment)
            self.geo.apply(snapshot, segment)
            self.outliers.apply(snapshot, segment)
            self._applied = (snapshot, segment)
            self._first_round = gevent.spawn(self._mark_first_round, snapshot.generation, segment)
        return FOLLOW_INTERVAL_S

    def _is_news(self, snapshot: Snapshot, segment: Segment) -> bool:
        return self._applied[0] is not snapshot or self._applied[1] is not segment

    def _mark_first_round(self, generation: int, segment: Segment) -> None:
        self.roster.wait_first_round()
        segment.header[H_PROBED_GENERATION] = generation

    def _forget_first_round(self) -> None:
        greenlet, self._first_round = self._first_round, None
        if greenlet is not None:
            greenlet.kill()

    def _keep(self) -> float:
        segment = self.attachment.segment
        if segment is not None:
            segment.header[H_CONTROLLER_PID] = os.getpid()
            segment.header[H_CONTROLLER_BEAT_NS] = time.monotonic_ns()
            segment.header[H_STORE_REASON] = self.sync.reason
            segment.header[H_STORE] = self.sync.standing
            segment.reap()
            self.roster.look_again()
        return KEEP_INTERVAL_S
