"""What a policy is: pure, built when membership changes, only read per request.

A policy must not do I/O, look at the clock or keep counts of its own: tickets, randomness, loads
and latencies come from the context, so that every worker agrees and the simulator can replay it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from lb.model import Backend, Pool
from lb.policies.probe_pool import ProbePool


class PickContext(Protocol):
    """What one pick may look at. ``i`` is a position in the pool's members.

    Calls must not block. On a worker they read shared memory; in tests they are plain functions.
    """

    key: bytes
    """What hash policies hash: the client's address unless the pool says otherwise."""

    probes: ProbePool
    """What was heard of members by probes; only ``prequal`` asks, and so has them sent."""

    def random(self) -> float:
        """Uniform in [0, 1)."""

    def ticket(self) -> int:
        """The next number of the pool's round robin order, shared by all workers."""

    def load(self, i: int) -> int:
        """Requests member ``i`` is working on now, over all workers (inflight)."""

    def inflight(self) -> int:
        """Requests that all members of the pool together are working on now, over all workers; only where the pool has
        bounded loads, which alone ask for it."""

    def latency(self, i: int) -> float:
        """Peak EWMA of member ``i``'s time to first byte in seconds, decayed to now; 0.0 if unknown."""

    def response_time(self, i: int) -> float:
        """Member ``i``'s mean time to first byte over the last seconds, in seconds; 0.0 if unknown (``mean_time``)."""

    def score(self, i: int) -> float:
        """Adaptive score of member ``i`` from its polled load, 0.0 (worst) to 1.0; 1.0 if never polled."""

    def recall(self) -> int:
        """The member that ``key`` was given when last remembered, by any worker of this machine; -1: none."""

    def remember(self, i: int) -> None:
        """``key`` was given member ``i``."""


Picker = Callable[[PickContext], int]
"""Returns a position in the members it was built over; never one that was not eligible."""


class Policy(Protocol):
    """``build`` is called when members or eligibility change, possibly for thousands of members."""

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        """``eligible``: positions in ``members`` that may be picked, ascending, never empty."""


PolicyFactory = Callable[[Pool], Policy]
