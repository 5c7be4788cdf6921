"""admit: whether a request goes on, by its route's rate. One bucket for all requests of a route, on this machine.

Who refuses says when it may be tried again. Keys (a bucket per client, say) would be chosen here, from the exchange.
"""

from __future__ import annotations

from lb.errors import RateLimited
from lb.state.bucket import Bucket
from lb.state.layout import C_RATE_LIMITED

_S = 1_000_000_000


class RouteLimit:
    """Of one worker. ``counters``: the route's. ``is_new``: there was none until now, and while machines that share it have
    not yet divided it, there is none still."""

    __slots__ = ("_bucket", "_counters", "_is_new")

    def __init__(self, bucket: Bucket, counters: memoryview, *, is_new: bool = False) -> None:
        self._bucket = bucket
        self._counters = counters
        self._is_new = is_new

    def __repr__(self) -> str:
        return f"<RouteLimit {self._bucket!r}>"

    def admit(self) -> None:
        """RateLimited, or the request is counted and may be sent. Never waits."""
        wait_ns = self._bucket.take()
        if wait_ns and not (self._is_new and self._bucket.waits_for_a_share()):
            self._counters[C_RATE_LIMITED] += 1
            raise RateLimited(-(-wait_ns // _S))
