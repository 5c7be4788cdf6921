"""One limit that machines share, as this machine holds its slice of it. Decides; asks nobody, and is given the time.

What it is a limit of, requests in flight or a rate, is known by its cells (``lb.controller.limit_cells``): how much is in
use whatever anybody says, and how much is wanted.

What is in force stands in the segment, where workers read it with every claim. It is raised only by an answer of the
store, and lowered here first: the smaller number is written, then what is in flight is read, and only then the store
is told. A worker counts its claim first and reads the limit after, so one of the two always sees the other.
"""

from __future__ import annotations

from lb.controller.limit_cells import LimitCells
from lb.model import StoreLoss
from lb.state.layout import SH_SLICE, SH_SLICE_LOST, SH_SLICE_UNTIL_NS
from lb.state.store.slices import Grant, Renewal

MS = 1_000_000
HOLDS_NS = 1_500 * MS
"""From the moment a renewal is sent; the store gives the slice to others 2 s after it came."""
INTERVAL_NS = 500 * MS
"""Two renewals in a row may be lost."""
HURRIED_NS = 250 * MS
"""While somebody has less than it wants."""
GAP_NS = 10 * MS
NEVER_NS, OVER_NS = 0, 1
"""Ends of a slice: none was ever held; there was one, or there is no store to ask."""


class Slice:
    """``begin`` and then ``finish`` or ``failed``: one renewal. ``look`` from time to time, ``is_due`` says when to renew."""

    def __init__(self, name: str, limit: int, cells: LimitCells, on_store_loss: StoreLoss, now_ns: int) -> None:
        self.name = name
        self.limit = limit
        self.cells = cells
        self.on_store_loss = on_store_loss
        self.is_leaving = False
        """Nothing more is wanted; it is over (``has_left``) as soon as nothing is in flight."""
        self.has_left = False
        self._is_asking = False
        self.has_news = False
        """Another machine has asked for a place, or has given one back."""
        self._target: int | None = None
        self._recorded = 0
        self._others_starve = False
        self._told = 0
        self._asked_ns = now_ns - INTERVAL_NS
        self._is_start = self._is_inherited = False
        if cells.shared[SH_SLICE_UNTIL_NS] > now_ns + HOLDS_NS:  # of an earlier boot
            cells.reset()

    def __repr__(self) -> str:
        shared = self.cells.shared
        return f"<Slice {self.name} {shared[SH_SLICE]} of {self.limit} target={self._target}>"

    def move_to(self, cells: LimitCells, now_ns: int) -> None:
        """Into another segment. Its workers come within a second, with what they have in flight; until then the store
        keeps what we told it last."""
        self.cells = cells
        cells.reset()
        self._is_asking = False
        self._asked_ns = now_ns + GAP_NS + HOLDS_NS - INTERVAL_NS
        self._others_starve = self.has_news = False

    def drop(self) -> None:
        """Leave at once. What the store still has of it runs out there."""
        self.cells.reset()
        self._is_asking, self.has_left = False, True

    def hand_over(self) -> float:
        """To another limit in the same cells, which are its own from here on: the share of the whole that is in force."""
        self._is_asking, self.has_left = False, True
        return self.cells.shared[SH_SLICE] / self.limit

    def inherit(self, share: float) -> None:
        """What is in force stays so until its end, in units of this limit. The store has not heard of them."""
        self.cells.put({SH_SLICE: int(share * self.limit)})
        self._is_inherited = True

    # --- what the machine wants

    def look(self, now_ns: int, machines: int) -> None:
        """Remember how much is asked for, and say what holds without the store. ``machines`` 0: not known."""
        self.cells.look(now_ns, self.limit)
        if machines:
            self.cells.divide(self.limit, machines)

    def wanted(self, now_ns: int) -> int:
        return 0 if self.is_leaving else self.cells.wanted(now_ns, self.limit)

    def is_due(self, now_ns: int) -> bool:
        if self.has_left:
            return False
        since_ns = now_ns - self._asked_ns
        if since_ns < 0:
            return False
        held = self.cells.shared[SH_SLICE]
        if self._others_starve and self._recorded > max(held, self.cells.in_use()):
            return True
        wanted = self.wanted(now_ns)
        if since_ns >= GAP_NS and (self.has_news or wanted > max(held, self._told)):
            return True
        is_hurried = self._others_starve or self._told > held
        return since_ns >= (HURRIED_NS if is_hurried else INTERVAL_NS)

    # --- a renewal

    def begin(self, now_ns: int) -> Renewal:
        """What to tell the store now; from here on it is in force."""
        shared = self.cells.shared
        until_ns = shared[SH_SLICE_UNTIL_NS]
        self._is_start = until_ns <= now_ns
        if self._is_start:
            self._start(until_ns, now_ns)
        else:
            self._lower()
        in_use = self.cells.in_use()
        self._asked_ns, self._is_asking, self.has_news = now_ns, True, False
        self._told = self.wanted(now_ns)
        age_ms = -1 if self._is_start or self._is_inherited else (now_ns + HOLDS_NS - until_ns) // MS
        limit = 0 if self.is_leaving and not in_use else self.limit
        held = max(shared[SH_SLICE], in_use)
        return Renewal(self.name, limit, held, self._told, age_ms, self.cells.given_back(), self.cells.fill_ms)

    def _start(self, until_ns: int, now_ns: int) -> None:
        """Nothing that the store gave holds. What workers may do without it is in force, and becomes the slice."""
        shared = self.cells.shared
        if self.is_leaving or self.on_store_loss == "closed" or until_ns == NEVER_NS:
            self.cells.put({SH_SLICE: 0})
        else:
            slice = min(shared[SH_SLICE_LOST] or self.limit, self.limit)
            self.cells.put({SH_SLICE: slice, SH_SLICE_UNTIL_NS: now_ns + HOLDS_NS})

    def _lower(self) -> None:
        most = 0 if self.is_leaving else self.limit if self._target is None else min(self.limit, self._target)
        if self.cells.shared[SH_SLICE] > most:
            self.cells.put({SH_SLICE: most})

    def finish(self, grant: Grant | None, sent_ns: int) -> None:
        """The store's answer to what ``begin(sent_ns)`` said; None: it had heard of a later one. Too late for cells
        that have been left meanwhile."""
        if grant is None or not self._is_asking:
            self.failed()
            return
        self._is_asking = self._is_inherited = False
        self._target, self._recorded, self._others_starve = grant.target, grant.slice, grant.others_starve
        if self.is_leaving:
            self._finish_leaving(grant)
            return
        slice = min(grant.slice, grant.target)
        self.cells.put({SH_SLICE: slice, SH_SLICE_UNTIL_NS: sent_ns + HOLDS_NS}, grant.credit)

    def _finish_leaving(self, grant: Grant) -> None:
        if not grant.slice:
            self.drop()

    def failed(self) -> None:
        """No answer. The store may have taken it or not: what is in force is no more than either."""
        if self._is_asking and self._is_start:
            self.cells.put({SH_SLICE_UNTIL_NS: OVER_NS})
        self._is_asking = False

    def has_no_store(self) -> None:
        """Nobody can be asked: workers need not wait for a first slice."""
        if self.cells.shared[SH_SLICE_UNTIL_NS] == NEVER_NS:
            self.cells.put({SH_SLICE_UNTIL_NS: OVER_NS})
