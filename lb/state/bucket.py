"""A rate limit of one machine, in shared memory: all its workers take from the same bucket, before anything is sent.

A process that is killed inside loses at most what had grown since the last change. One that is stopped inside stalls
nobody: who finds the bucket locked for longer than anybody who runs would have it goes on with a copy of it, the next
one in turn, and whoever comes back to one that was left begins again in the one in use. Knows neither routes nor the
store; of a share it knows the cells.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Mapping
from typing import Any

from gevent.monkey import get_original

from lb.model import StoreLoss
from lb.resilience.gcra import TOKEN, Gcra
from lb.state.layout import (
    SH_FULL_NS,
    SH_SLICE,
    SH_SLICE_LOST,
    SH_SLICE_UNTIL_NS,
    SR_ASKED,
    SR_BUCKETS,
    SR_MACHINES,
    SR_TURN,
)
from lb.state.locks import BUCKETS, bucket_byte, try_lock, unlock

BUSY_NS = 1_000_000
"""To wait where no bucket can be had, because three processes were stopped inside: never seen but in tests."""
_TRIES = 8
"""Of 0.7 us: a holder that runs is out after 2 us."""
_TURNS = 8
_BOOT_NS = 1_000_000_000
"""A change that far ahead is of an earlier boot."""
_TRY = fcntl.LOCK_EX | fcntl.LOCK_NB


class Bucket:
    """One process's view. Never waits, never yields. Not for several threads.

    ``on_store_loss``: None where no other machine shares the limit: all units are this one's. ``asked_by_ns``: until
    then a first slice may still come, and there is nothing before it.
    """

    def __init__(
        self,
        fd: int,
        column: int,
        shared: memoryview,
        gcra: Gcra,
        on_store_loss: StoreLoss | None = None,
        asked_by_ns: int = 0,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.gcra = gcra
        self.shared = shared
        self._fd = fd
        self._first_byte = bucket_byte(column, 0)
        self._on_store_loss = on_store_loss
        self._asked_by_ns = asked_by_ns
        self._clock = clock
        self._fence: Any = get_original("_thread", "allocate_lock")()

    def __repr__(self) -> str:
        turn = self.shared[SR_TURN]
        return f"<Bucket {self.gcra!r} turn={turn} tokens={self.shared[_since(turn) + 1] / TOKEN:g}>"

    def take(self) -> int:
        """0: one request may go, and is counted. Else nanoseconds until one might."""
        shared = self.shared
        for _ in range(_TURNS):
            turn = self._enter()
            if turn < 0:
                break
            now_ns = self._clock()
            since = _since(turn)
            tokens = self._tokens(since, now_ns)
            shared[SR_ASKED] += 1
            if tokens < TOKEN:
                self._leave(turn)
                if self._on_store_loss is not None:
                    shared[SH_FULL_NS] = now_ns
                return self.gcra.wait_ns(tokens)
            self._keep(since, now_ns, tokens - TOKEN)
            if self._leave(turn):
                return 0
        return BUSY_NS

    def waits_for_a_share(self) -> bool:
        """Whether a first slice may still come: of a store that has just begun, the first ones are of nothing."""
        if self._on_store_loss is None:
            return False
        now_ns, until_ns = self._clock(), self.shared[SH_SLICE_UNTIL_NS]
        has_none_yet: bool = until_ns == 0 or (until_ns > now_ns and not self.shared[SH_SLICE])
        return has_none_yet and now_ns < self._asked_by_ns

    def put(self, cells: Mapping[int, int], credit: int = 0) -> int:
        """Writes ``cells`` of the share, in their order: what has grown until now is of the share before. ``credit``:
        tokens that come with it. Returns the tokens for which it has no room any more. Where no bucket can be had nothing
        is written: who renews a share looks at what is in force."""
        shared = self.shared
        for _ in range(_TURNS):
            turn = self._enter()
            if turn < 0:
                break
            now_ns = self._clock()
            since = _since(turn)
            is_unused = shared[since] == 0 and cells.get(SH_SLICE_UNTIL_NS, shared[SH_SLICE_UNTIL_NS]) <= now_ns
            tokens = 0 if is_unused else self._tokens(since, now_ns) + credit
            kept = min(tokens, self._most(now_ns, cells) * TOKEN)
            if not is_unused:
                self._keep(since, now_ns, kept)
            self._fence.acquire(False)
            self._fence.release()
            if shared[SR_TURN] == turn:
                for cell, number in cells.items():
                    shared[cell] = number
                self._leave(turn)
                return tokens - kept
            self._leave(turn)
        return 0

    # --- what is in it

    def _tokens(self, since: int, now_ns: int) -> int:
        shared = self.shared
        since_ns, tokens = shared[since], shared[since + 1]
        if since_ns == 0 or since_ns > now_ns + _BOOT_NS:
            return self._most(now_ns, {}) * TOKEN
        if self._on_store_loss is None:
            burst = self.gcra.burst
            return self.gcra.grown(tokens, now_ns - since_ns, burst, burst)
        return self._shared_tokens(since_ns, tokens, now_ns)

    def _shared_tokens(self, since_ns: int, tokens: int, now_ns: int) -> int:
        """By the slice until its end, by what holds without it from there on."""
        until_ns = self.shared[SH_SLICE_UNTIL_NS]
        if until_ns > since_ns:
            units = min(self.shared[SH_SLICE], self.gcra.burst)
            tokens = self.gcra.grown(tokens, min(now_ns, until_ns) - since_ns, units, units)
            if until_ns >= now_ns:
                return tokens
            since_ns = until_ns
        most = self._without_slice(now_ns, until_ns, self.shared[SH_SLICE_LOST])
        units_then = self.gcra.burst / max(1, self.shared[SR_MACHINES]) if most else 0
        return self.gcra.grown(tokens, now_ns - since_ns, units_then, most)

    def _most(self, now_ns: int, coming: Mapping[int, int]) -> int:
        """Units in force, with the cells that are to come."""
        if self._on_store_loss is None:
            return self.gcra.burst
        shared = self.shared
        until_ns = coming.get(SH_SLICE_UNTIL_NS, shared[SH_SLICE_UNTIL_NS])
        if until_ns > now_ns:
            return min(coming.get(SH_SLICE, shared[SH_SLICE]), self.gcra.burst)
        return self._without_slice(now_ns, until_ns, coming.get(SH_SLICE_LOST, shared[SH_SLICE_LOST]))

    def _without_slice(self, now_ns: int, until_ns: int, lost: int) -> int:
        if self._on_store_loss == "closed" or (until_ns == 0 and now_ns < self._asked_by_ns):
            return 0
        return min(lost or self.gcra.burst, self.gcra.burst)

    def _keep(self, since: int, now_ns: int, tokens: int) -> None:
        """The time first: whoever is killed between the two has less, not more."""
        if now_ns > self.shared[since] or self.shared[since] > now_ns + _BOOT_NS:
            self.shared[since] = now_ns
        self.shared[since + 1] = tokens

    # --- which one it is

    def _enter(self) -> int:
        """Locks the bucket in use: its turn. -1: none can be had."""
        shared, fd, first = self.shared, self._fd, self._first_byte
        for _ in range(_TRIES):
            turn: int = shared[SR_TURN]
            try:
                fcntl.lockf(fd, _TRY, 1, first + turn % BUCKETS)
            except OSError:
                continue
            if shared[SR_TURN] == turn:
                return turn
            unlock(fd, first + turn % BUCKETS)
        return self._go_on()

    def _leave(self, turn: int) -> bool:
        """Whether what was changed in it counts: if others have gone on meanwhile they may not have seen it. The system call
        has what we wrote come before what we read."""
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, self._first_byte + turn % BUCKETS)
        return bool(self.shared[SR_TURN] == turn)

    def _go_on(self) -> int:
        """Its holder has been stopped, or scheduled away: the next bucket that can be locked goes on from what is in it."""
        switch = self._first_byte + BUCKETS
        if not any(try_lock(self._fd, switch) for _ in range(_TRIES)):
            return -1
        try:
            left: int = self.shared[SR_TURN]
            for turn in range(left, left + BUCKETS):
                if try_lock(self._fd, self._first_byte + turn % BUCKETS):
                    if turn != left:
                        self._move(left, turn)
                    return turn
        finally:
            unlock(self._fd, switch)
        return -1

    def _move(self, left: int, turn: int) -> None:
        """First the turn, then what is in it: its holder writes first and looks at the turn after, so one of us sees the
        other. Whoever is killed in between leaves an empty one."""
        shared, new, old = self.shared, _since(turn), _since(left)
        shared[new + 1] = 0
        shared[new] = self._clock()
        shared[SR_TURN] = turn
        self._fence.acquire(False)
        self._fence.release()
        tokens, since_ns = shared[old + 1], shared[old]
        shared[new] = since_ns
        shared[new + 1] = tokens


def _since(turn: int) -> int:
    """The cell of a bucket's last change; that of its tokens is the next one."""
    return SR_BUCKETS + 2 * (turn % BUCKETS)
