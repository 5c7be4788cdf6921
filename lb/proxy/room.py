"""Which members still have room for a request, and its claim: exact over all workers of the machine, and over machines
as far as their slices are (``lb.controller.slice``)."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic_ns
from typing import Any

from gevent.monkey import get_original

from lb.model import Backend, StoreLoss
from lb.proxy.member import Member
from lb.state.layout import SH_FULL_NS, SH_SLICE, SH_SLICE_LOST, SH_SLICE_UNTIL_NS

FIRST_SLICE_NS = 3_000_000_000
"""So long nothing is taken of a limit that machines share where no controller has ever said what is ours of it: one that
starts with us asks first, and until it has, the others may have all of it."""


class Room:
    """Of one pool on one worker. ``on_store_loss``: None where no other machine shares the backends' limits."""

    def __init__(self, backends: Sequence[Backend], members: Sequence[Member], on_store_loss: StoreLoss | None) -> None:
        self.has_limits = any(backend.max_inflight is not None for backend in backends)
        self._backends = backends
        self._members = members
        self._on_store_loss = on_store_loss
        self._asked_by_ns = monotonic_ns() + FIRST_SLICE_NS
        self._fence: Any = get_original("_thread", "allocate_lock")()

    def reserve(self, i: int) -> bool:
        """Claims first and looks at the sum after: of workers that take the last place in the same moment some, or all,
        see too many and give it back; never do two keep it. ``_fence``: a claim must be out of this processor's
        store buffer before the others' are read, and taking a lock sees to that."""
        member = self._members[i]
        if self._backends[i].max_inflight is None:
            member.begin()
            return True
        if self.is_full(i):
            return False
        member.begin()
        self._fence.acquire(False)
        self._fence.release()
        if member.load() <= self._limit(i):
            return True
        member.end()
        return False

    def is_full(self, i: int) -> bool:
        if self._backends[i].max_inflight is None or self._members[i].load() < self._limit(i):
            return False
        if self._on_store_loss is not None:
            self._members[i].shared[SH_FULL_NS] = monotonic_ns()
        return True

    def _limit(self, i: int) -> int:
        """The most that this machine may have in flight at a backend with a ``max_inflight``: all of it, or its slice
        while other machines share it. A slice that nobody has renewed holds no longer, and ``on_store_loss`` decides."""
        limit = self._backends[i].max_inflight
        assert limit is not None
        if self._on_store_loss is None:
            return limit
        shared = self._members[i].shared
        now: int = monotonic_ns()
        until: int = shared[SH_SLICE_UNTIL_NS]
        if until > now:
            return min(shared[SH_SLICE], limit)
        if self._on_store_loss == "closed" or (until == 0 and now < self._asked_by_ns):
            return 0
        return min(shared[SH_SLICE_LOST] or limit, limit)
