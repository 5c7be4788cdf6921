"""Requests of one worker that wait until a backend of their pool has room: first come, first served.

Who releases a place gives it to whoever waits first and may use it, so that nobody is woken for nothing and no newcomer
is quicker. Places that other workers release are found by looking, ``POLL_S`` apart at most. Knows no backend: which
one is taken is the pool's choice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final, Protocol

from gevent import get_hub
from greenlet import getcurrent, greenlet

from lb.errors import AttemptError, Retryable
from lb.proxy.deadlines import NEVER, Expired
from lb.proxy.exchange import Exchange
from lb.proxy.member import Member

POLL_S: Final = 0.02
"""A look costs microseconds and happens only while somebody waits. At random after half of it to all of it, so that
two workers that took the last place from each other do not meet again."""
LEAD_NS: Final = 100_000_000
"""A place is not handed on within a worker while somebody has waited this much longer in another: several looks."""
NOTHING_SENT: Final = Retryable(nothing_sent=True)


class Chooser(Protocol):
    """What waiting needs of ``lb.proxy.pool.LivePool``."""

    def pick(self, policy: str, key: bytes, excluded: Sequence[Member]) -> Member: ...
    def is_full(self, excluded: Sequence[Member]) -> bool: ...


class Waiter:
    """A request that waits, until it has a ``member`` (claimed for it) or has ``failed``."""

    __slots__ = ("arrived_ns", "callback", "exchange", "excluded", "failed", "greenlet", "key", "member", "policy")

    def __init__(self, exchange: Exchange, policy: str, key: bytes, excluded: Sequence[Member]) -> None:
        self.exchange = exchange
        self.policy = policy
        self.key = key
        self.excluded = excluded
        self.arrived_ns = int(exchange.started * 1e9)
        self.greenlet: greenlet = getcurrent()
        self.callback: Any = None
        self.member: Member | None = None
        self.failed: AttemptError | None = None


class Waiting:
    """``since``: a cell per worker, shared by them, where ours (``slot``) says when its first waiter arrived; 0: none."""

    def __init__(
        self,
        pool: Chooser,
        size: int,
        limit_s: float,
        since: memoryview,
        slot: int,
        random: Callable[[], float],
    ) -> None:
        self._pool = pool
        self._size = size
        self._limit_s = limit_s
        self._since = since
        self._slot = slot
        self._random = random
        self._waiters: deque[Waiter] = deque()
        self._timer: Any = None
        self._is_serving = False

    def __repr__(self) -> str:
        return f"<Waiting {len(self._waiters)} of {self._size}>"

    def __len__(self) -> int:
        return len(self._waiters)

    def claim(self, exchange: Exchange, policy: str, key: bytes, excluded: Sequence[Member]) -> Member:
        """As the pool's ``pick``, but waits for room. AttemptError: ``no_backend`` when nobody may be asked,
        ``backend_full`` when too many wait, ``queue_timeout``; Expired: another deadline of the request passed."""
        if not self._waiters:
            try:
                return self._pool.pick(policy, key, excluded)
            except AttemptError as nobody:
                if nobody.reason != "backend_full":
                    raise
        left_s = self._limit_s - exchange.queued_s
        has_been_served = exchange.attempts > 0
        if left_s <= 0 or not self._size or (len(self._waiters) >= self._size and not has_been_served):
            raise AttemptError("backend_full", f"{len(self._waiters)} wait", NOTHING_SENT)
        waiter = Waiter(exchange, policy, key, excluded)
        if has_been_served:  # it came before everybody who waits now, so it does not stand behind them, nor is refused
            self._waiters.appendleft(waiter)
        else:
            self._waiters.append(waiter)
        started = monotonic()
        exchange.deadline.set(min(started + left_s, exchange.total_at), "queue_timeout")
        try:
            return self._wait(waiter)
        finally:
            exchange.deadline.at = NEVER
            exchange.queued_s += monotonic() - started

    def _wait(self, waiter: Waiter) -> Member:
        try:
            self._changed()
            if len(self._waiters) > 1:  # who is first has just been refused by the pool
                self.look()
            hub = get_hub()
            while waiter.member is None and waiter.failed is None:
                hub.switch()
        except Expired as expired:
            self._leave(waiter)
            if expired.reason != "queue_timeout":
                raise
            raise AttemptError("queue_timeout", f"{len(self._waiters)} wait", NOTHING_SENT) from expired
        except BaseException:
            self._leave(waiter)
            raise
        if waiter.member is None:
            assert waiter.failed is not None
            raise waiter.failed
        return waiter.member

    def _leave(self, waiter: Waiter) -> None:
        """Ends before its turn; the place that it was given in this moment is the next one's."""
        if waiter.callback is not None:
            waiter.callback.stop()
        member = waiter.member
        if member is not None:
            member.end()
            self.freed()
        elif waiter.failed is None:
            self._waiters.remove(waiter)
            self._changed()
            self.look()

    def follow(self, pool: Chooser, terms: Waiting | None) -> None:
        """After a reload: who waits, and who comes, gets what ``pool`` has now, on the terms of ``terms``. None: nobody
        has to wait there. Never switches."""
        self._since[self._slot] = 0
        self._pool = pool
        if terms is not None:
            self._size, self._limit_s = terms._size, terms._limit_s
            self._since, self._slot = terms._since, terms._slot
        self._changed()
        self.look()

    # --- places

    def freed(self) -> None:
        """A member of the pool has room. Hands it on, unless somebody has waited much longer in another worker:
        then it is left to whoever looks first."""
        if self._waiters and not self._is_elder_elsewhere():
            self.look()

    def _is_elder_elsewhere(self) -> bool:
        ours = self._waiters[0].arrived_ns
        return any(since and since < ours - LEAD_NS for since in self._since)

    def look(self) -> None:
        """Gives what room there is to those who wait, in their order. Never switches."""
        if self._is_serving or not self._waiters:
            return
        self._is_serving = True
        try:
            self._serve()
        finally:
            self._is_serving = False
            self._changed()

    def _serve(self) -> None:
        if self._pool.is_full(()):
            return
        for waiter in list(self._waiters):
            if self._pool.is_full(waiter.excluded):
                if not waiter.excluded:  # nor is there room for anybody behind it
                    return
                continue
            try:
                waiter.member = self._pool.pick(waiter.policy, waiter.key, waiter.excluded)
            except AttemptError as nobody:
                if nobody.reason == "backend_full":  # another worker was quicker: nobody overtakes for that
                    return
                waiter.failed = nobody
            self._settle(waiter)

    def _settle(self, waiter: Waiter) -> None:
        self._waiters.remove(waiter)
        waiter.exchange.deadline.at = NEVER
        if waiter.greenlet is not getcurrent():
            waiter.callback = get_hub().loop.run_callback(waiter.greenlet.switch)

    # --- who waits

    def _changed(self) -> None:
        """Tells the other workers, and looks from time to time while somebody waits."""
        self._since[self._slot] = self._waiters[0].arrived_ns if self._waiters else 0
        if not self._waiters:
            self._stop_timer()
        elif self._timer is None:
            self._timer = get_hub().loop.timer(POLL_S * (1.0 + self._random()) / 2)
            self._timer.start(self._poll)

    def _poll(self) -> None:
        self._stop_timer()
        self.look()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
