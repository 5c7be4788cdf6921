"""One machine probes for all: pools with ``health.scope: cluster``. Who does is settled by a lease; the others hear it.

Costs the backends one probe instead of one per machine. A machine that hears nothing (no store, nobody holds the lease, other
settings) probes for itself, and so does one whose own worker was refused a connection, until its own probe is good.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from lb.controller.board import Board
from lb.model import Snapshot
from lb.state.segment import Segment
from lb.state.store import health as stored
from lb.state.store.lease import Lease

if TYPE_CHECKING:
    from lb.state.store.link import Link

INTERVAL_S = 0.5
"""The lease is renewed as often; it lasts for two seconds."""
WHOLE_S = 1.0
"""So often all of it is told: the store may have lost it."""
_log = logging.getLogger("lb.health")


class Verdicts:
    """A part of ``lb.controller.sync``. ``prober``: the name of the machine that probes for all, as last heard; empty: nobody."""

    name = "verdicts"
    news = "health"

    def __init__(self, link: Link, board: Board, clock: Callable[[], float] = time.monotonic) -> None:
        self.interval_s = INTERVAL_S
        self.prober = ""
        self._link = link
        self._board = board
        self._clock = clock
        self._lease = Lease(link, "health", clock)
        self._is_wanted = False
        self._told: dict[str, int] = {}
        self._told_mark = ""
        """What the store has of us; empty: that is not known, for a call that failed may have told or not."""
        self._told_whole_at = float("-inf")
        self._sequence = random.getrandbits(40)
        """Counts on from anywhere: the same machine begins anew under its old token, with another word."""
        self._mark = ""

    def apply(self, snapshot: Snapshot, segment: Segment) -> None:
        healths = [pool.health for pool in snapshot.config.pools]
        self._is_wanted = any(health.scope == "cluster" and health.type != "none" for health in healths)

    def round(self) -> None:
        if not self._is_wanted:
            self._give_up()
        elif self._lease.renew():
            self._probe_for_all()
        else:
            self._hear_from_another()

    def _probe_for_all(self) -> None:
        board = self._board
        if not board.is_prober:
            self._told, self._told_mark, self._mark = {}, "", ""
            board.take()
        self._say_who(self._link.name)
        now = board.vouched()
        is_news = now != self._told or not self._told_mark
        is_due = self._clock() - self._told_whole_at > WHOLE_S or not self._told_mark
        whole = is_due or not self._told.keys() <= now.keys()
        if is_news or whole:
            told = self._tell(now, whole=whole, is_news=is_news)
            if told is stored.Told.CHANGES_OF_WHAT:
                told = self._tell(now, whole=True, is_news=True)
            if told is stored.Told.NOT_OURS:
                board.leave()

    def _tell(self, now: dict[str, int], *, whole: bool, is_news: bool) -> stored.Told:
        """A mark stands for one content: who has heard it asks for what is behind it once."""
        self._sequence += is_news
        changed = now if whole else {name: verdict for name, verdict in now.items() if self._told.get(name) != verdict}
        token, keys = self._lease.token, self._link.keys
        mark, fence = f"{token} {self._sequence} {self._link.name}", keys.fence(self._lease.name)
        since, self._told_mark = "" if whole else self._told_mark, ""
        told = self._link.call(
            lambda client: stored.tell(client, keys, fence, token, mark, changed, since=since, news=is_news)
        )
        if told is stored.Told.TOLD:
            self._told, self._told_mark = now, mark
            if whole:
                self._told_whole_at = self._clock()
        return told

    def _hear_from_another(self) -> None:
        board, asked_at = self._board, self._clock()
        if board.is_prober:
            board.leave()
        heard = self._link.call(lambda client: stored.hear(client, self._link.keys, self._mark))
        if heard is None:
            return
        self._say_who(heard.machine)
        self._mark = heard.mark
        if heard.verdicts is None:
            board.still(asked_at)
        else:
            board.hear(heard.verdicts, asked_at)

    def _say_who(self, machine: str) -> None:
        if machine != self.prober:
            self.prober = machine
            _log.info("probes_by=%s for all machines", machine)

    def _give_up(self) -> None:
        if self._board.is_prober:
            self._board.leave()
            self._lease.give_up()
        self.prober = ""

    def hear(self, words: list[str]) -> bool:
        """``TOKEN SEQUENCE MACHINE``."""
        return self._is_wanted and " ".join(words) != self._mark and not self._board.is_prober

    def end(self) -> None:
        self._give_up()
