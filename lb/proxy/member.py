"""One backend as one worker sees it: where to connect, its idle connections, its latency, its cells.

The frozen ``Backend`` says what it is; everything that happens to it is here (this worker's part)
and in the shared cells (the machine's part). A member survives a reload that keeps its backend.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import socket as constants
import termios
from bisect import bisect_left
from contextlib import suppress
from time import monotonic, monotonic_ns
from typing import Any

from gevent import sleep

from lb.errors import AttemptError, Retryable, Unresolved
from lb.http1.response import ResponseFields
from lb.model import Backend, Pool
from lb.policies.latency import PeakEwma
from lb.proxy.cells import Cells
from lb.proxy.deadlines import Deadline, Expired
from lb.proxy.stream import Stream, connect
from lb.proxy.tcp_info import CLOSED, tcp_info
from lb.proxy.tls import backend_context
from lb.resilience.outlier import ABOUT_THE_REQUEST, ConsecutiveErrors
from lb.state.layout import (
    BUCKET_BOUNDS_US,
    C_BAD_RESPONSE,
    C_BUCKETS,
    C_CONNECT_FAILED,
    C_CONNECTS,
    C_COUNT,
    C_DURATION_US,
    C_RESET,
    C_REUSES,
    C_STATUS,
    C_TIMEOUT,
    DOWN,
    SH_EJECTED_UNTIL_NS,
    SH_PROBE_OK_NS,
    SH_REFUSED_NS,
    SH_VERDICT,
    UP,
)

IDLE_LIMIT_S = 55.0
"""An idle connection older than this is closed: below the 60 s after which most servers close theirs."""
_NO_BYTES = bytes(4)
_RESET_PATIENCE_S = 0.1
"""A round trip. Only a request that may not be repeated waits for it, and only behind an end without an answer."""
_RESET_LOOKS = 10
_SAY_EVERY_S = 60.0
_log = logging.getLogger("lb.proxy")
_REFUSED_HOLD_NS = 1_000_000_000
_OUR_FAULT = (errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_GATEWAY_STATUSES = (502, 503, 504)
_CELL_OF_REASON = {
    "connect_failed": C_CONNECT_FAILED,
    "connect_timeout": C_CONNECT_FAILED,
    "backend_reset": C_RESET,
    "backend_timeout": C_TIMEOUT,
}


class BackendConnection(Stream):
    """A connection to a member, at the one of its addresses that it was made to."""

    __slots__ = ("address", "fields", "idle_since", "is_idle", "is_reused", "left_in", "member")

    def __init__(self, sock: Any, hub: Any, member: Member, address: tuple[int, Any]) -> None:
        super().__init__(sock, hub)
        self.member = member
        self.address = address
        self.is_idle = False
        self.is_reused = False
        self.idle_since = 0.0
        self.left_in = 0
        """The turn of the hub in which it was given back."""
        self.fields: ResponseFields | None = None

    def on_unexpected(self) -> None:
        """Idle: the backend closed it or says something nobody asked for; it must not be used again.
        In use: whoever serves the request reads it in time."""
        self.disarm()
        if self.is_idle:
            self.member.discard(self)

    def has_leftovers(self) -> bool:
        """Whether more has come than the answer that was just read: then nobody knows what comes next."""
        if self.tls is not None and self.tls.has_more:
            return True
        return self.is_disarmed and not self.is_quiet()

    def is_usable(self, *, thoroughly: bool) -> bool:
        """Whether an idle connection is still as it was left. Its watcher tells of most that happens to it;
        what came since the hub last looked only the kernel knows: bytes that nobody asked for would
        be taken for the next answer, an end would cost the request its one attempt."""
        if thoroughly or self.tls is not None:
            return self.is_quiet()
        return fcntl.ioctl(self.fd, termios.FIONREAD, _NO_BYTES) == _NO_BYTES

    def never_took(self, count: int) -> bool:
        """Whether the ``count`` bytes sent last crossed the backend's end on the wire, and no process read them.

        Its end came first, then the reset that a kernel answers with where no socket is left, and none of
        the bytes was acknowledged: a process that had read them, and died, would have had its kernel
        acknowledge them with its end. (Not one that had closed its sending side before, reads on, and
        resets: it cannot answer what it reads, and RFC 9112 section 9.6 has it read only to discard.) Waits ``_RESET_PATIENCE_S`` for that reset. False if it cannot be told.
        """
        if self.tls is not None:
            return False
        for _ in range(_RESET_LOOKS):
            info = tcp_info(self.sock)
            if info is None or info.unacked < count:
                return False
            if info.state == CLOSED:
                return True
            sleep(_RESET_PATIENCE_S / _RESET_LOOKS)
        return False


class Member:
    """Belongs to one worker and one hub. ``addresses`` are what the resolver last found."""

    def __init__(self, backend: Backend, pool: Pool, cells: Cells, hub: Any) -> None:
        self.backend = backend
        self.pool = pool
        self.name = f"{pool.id}/{backend.id}"
        self.authority = backend.authority.encode("ascii")
        self.is_named = not literal_address(backend)
        """Whether its addresses are the resolver's to find."""
        self.addresses: tuple[tuple[int, Any], ...] = ()
        self.idle: list[BackendConnection] = []
        self.latency = PeakEwma()
        self.errors = ConsecutiveErrors()
        self.wants_ejection_s = 0.0
        self.hears_load = False
        """Whether anybody wants to know what it says of its load."""
        self.load_lines = b""
        self.load_heard = (0.0, 0.0)
        """What it last said, as it came and read."""
        self.is_closed = False
        self._tls_said_at = -_SAY_EVERY_S
        self._hub = hub
        self._next_address = 0
        self._tls = backend_context(pool.tls) if backend.scheme == "https" else None
        self._count_in(cells)

    def __repr__(self) -> str:
        return f"<Member {self.name} inflight={self.load()} idle={len(self.idle)}>"

    def use_cells(self, cells: Cells) -> None:
        """Counts there from now on; what this worker has in flight moves along."""
        mine = self.inflight[self.slot]
        self.cells.add(-mine)
        self._count_in(cells)
        cells.add(mine)

    def _count_in(self, cells: Cells) -> None:
        self.cells = cells
        self.shared: memoryview = cells.shared
        self.inflight: memoryview = cells.inflight
        self.loads: memoryview = cells.loads
        self.counters: memoryview = cells.counters
        self.slot = cells.slot

    def begin(self) -> None:
        """One more request, of this worker, that it works on."""
        self.cells.add(1)

    def end(self) -> None:
        """It works on one less."""
        self.cells.add(-1)

    def load(self) -> int:
        """Inflight over all workers of this machine."""
        return sum(self.inflight)

    def is_up(self, now_ns: int) -> bool:
        shared = self.shared
        if shared[SH_VERDICT] != UP:
            return False
        return not (shared[SH_REFUSED_NS] or shared[SH_EJECTED_UNTIL_NS]) or not self.is_out(now_ns)

    def is_down(self) -> bool:
        return self.shared[SH_VERDICT] == DOWN

    def is_out(self, now_ns: int) -> bool:
        """Refuses, or is ejected."""
        return self.shared[SH_EJECTED_UNTIL_NS] > now_ns or self.refuses(now_ns)

    def refuses(self, now_ns: int) -> bool:
        """Refused a connect since its last good probe. Without probes (their controller is dead, or the pool has none)
        that counts for one second."""
        shared = self.shared
        refused = shared[SH_REFUSED_NS]
        if refused and refused > shared[SH_PROBE_OK_NS]:
            probed = self.pool.health.type != "none"
            recent = now_ns - refused < _REFUSED_HOLD_NS
            stale_prober = now_ns - shared[SH_PROBE_OK_NS] > 10 * _REFUSED_HOLD_NS
            return recent or (probed and not stale_prober)
        return False

    def totals(self) -> tuple[int, int, int]:
        """Attempts by this worker's slot, those without a good answer, and microseconds that answers took."""
        counters = self.counters
        attempts = counters[C_COUNT]
        answered = counters[C_STATUS + 2] + counters[C_STATUS + 3] + counters[C_STATUS + 4]
        return attempts, attempts - answered, counters[C_DURATION_US]

    # --- connections

    def checkout(
        self, deadline: Deadline, total_at: float, *, fresh_only: bool, thoroughly: bool = False
    ) -> BackendConnection:
        """An idle connection, or a new one. AttemptError if none can be made; nothing was sent then.

        ``thoroughly``: an idle one is asked for its end too, at the cost of a failing call.
        """
        if not fresh_only:
            while (connection := self._pop_rested()) is not None:
                connection.is_idle = False
                if connection.is_usable(thoroughly=thoroughly):
                    connection.is_reused = True
                    self.counters[C_REUSES] += 1
                    return connection
                connection.close()
        deadline.set(min(monotonic() + self.pool.timeouts.connect_s, total_at), "connect_timeout")
        try:
            return self._connect()
        except Unresolved as unresolved:
            raise AttemptError("connect_failed", str(unresolved), Retryable(nothing_sent=True)) from unresolved
        except OSError as error:
            if error.errno not in _OUR_FAULT:
                self.refused()
            raise AttemptError("connect_failed", str(error), Retryable(nothing_sent=True)) from error

    def _pop_rested(self) -> BackendConnection | None:
        """The idle connection used last, but none given back in this very turn of the hub: what a backend
        sends behind its answer is microseconds late, and would be taken for the next one."""
        idle = self.idle
        if not idle:
            return None
        turn = self._hub.loop.iteration
        if idle[-1].left_in != turn:
            return idle.pop()
        return idle.pop(0) if idle[0].left_in != turn else None

    def _connect(self) -> BackendConnection:
        if not self.addresses:
            raise Unresolved(f"{self.backend.host}: no address")
        last: OSError = Unresolved(self.name)
        for _ in self.addresses:
            address = self.addresses[self._next_address % len(self.addresses)]
            try:
                sock = connect(self._hub, *address)
                break
            except Expired:
                self._next_address += 1  # a whole connect's time is gone: the next one begins elsewhere
                raise
            except OSError as error:
                self._next_address += 1
                last = error
        else:
            try:
                raise last
            finally:
                del (
                    last
                )  # it knows this frame: only the collector, which comes late, would free the two and the request
        self.counters[C_CONNECTS] += 1
        if self._tls is None:
            return BackendConnection(sock, self._hub, self, address)
        return self._secure(sock, address)

    def _secure(self, sock: Any, address: tuple[int, Any]) -> BackendConnection:
        connection = BackendConnection(sock, self._hub, self, address)
        try:
            connection.start_tls(self._context(), self.pool.tls.server_name or self.backend.host)
        except BaseException as error:
            connection.close()
            if isinstance(error, (OSError, ValueError)):
                self._tls_failed(error)
                raise AttemptError("backend_tls", str(error), Retryable(nothing_sent=True)) from error
            raise
        return connection

    def _context(self) -> Any:
        """As the CA file is now; the last good one while it cannot be read."""
        with suppress(OSError):
            self._tls = backend_context(self.pool.tls)
        return self._tls

    def _tls_failed(self, error: Exception) -> None:
        """Said once a minute: which certificate is wrong, and how, is in no metric."""
        now = monotonic()
        if now - self._tls_said_at > _SAY_EVERY_S:
            self._tls_said_at = now
            _log.warning("backend=%s tls=%s", self.name, error)

    def refused(self) -> None:
        """Nobody takes connections there: all workers leave it out until its next good probe."""
        self.shared[SH_REFUSED_NS] = monotonic_ns()

    def give_back(self, connection: BackendConnection, now: float) -> None:
        """Keeps a connection whose answer was read to its exact end, unless its address is the backend's no more."""
        is_wanted = len(self.idle) < self.pool.max_idle_per_worker and not self.is_closed
        if not is_wanted or connection.address not in self.addresses or connection.has_leftovers():
            connection.close()
            return
        connection.is_idle = True
        connection.idle_since = now
        connection.left_in = self._hub.loop.iteration
        connection.arm()
        self.idle.append(connection)

    def discard(self, connection: BackendConnection) -> None:
        connection.close()
        if connection in self.idle:
            self.idle.remove(connection)

    def move(self, addresses: tuple[tuple[int, Any], ...]) -> None:
        """The backend is found there from now on: what is kept to elsewhere is not used again."""
        self.addresses = addresses
        for connection in [one for one in self.idle if one.address not in addresses]:
            self.discard(connection)

    def close_old(self, now: float) -> None:
        """Closes what has been idle for long; the list is ordered, oldest first."""
        idle = self.idle
        while idle and now - idle[0].idle_since > IDLE_LIMIT_S:
            idle.pop(0).close()

    def close(self) -> None:
        """Closes the idle ones now, and those in use when they come back: nobody looks after them here any more."""
        self.is_closed = True
        while self.idle:
            self.idle.pop().close()

    # --- outcomes

    def observe(self, status: int, first_byte_s: float, now: float) -> float:
        """An answer's head came. Returns for how long to eject (mostly 0.0)."""
        counters = self.counters
        microseconds = int(first_byte_s * 1e6)
        counters[C_COUNT] += 1
        counters[C_STATUS + status // 100] += 1
        counters[C_DURATION_US] += microseconds
        counters[C_BUCKETS + bisect_left(BUCKET_BOUNDS_US, microseconds)] += 1
        if status < 500:
            self.latency.observe(first_byte_s, now)
            if self.errors.errors:
                self.errors.success()
            return 0.0
        if status in _GATEWAY_STATUSES:
            self.latency.observe_failure(first_byte_s, now)
        else:
            self.latency.observe(first_byte_s, now)
        return self.errors.failure(now) if status not in ABOUT_THE_REQUEST else 0.0

    def observe_failure(self, reason: str, took_s: float) -> float:
        """No answer came. Returns for how long to eject (mostly 0.0); refused connects never do."""
        now = monotonic()
        self.latency.observe_failure(took_s, now)
        self.counters[C_COUNT] += 1
        self.counters[_CELL_OF_REASON.get(reason, C_BAD_RESPONSE)] += 1
        return self.errors.failure(now) if reason != "connect_failed" else 0.0


def literal_address(backend: Backend) -> tuple[tuple[int, Any], ...]:
    """The address of a backend that needs no resolver, or nothing."""
    if backend.unix_path:
        return ((constants.AF_UNIX, backend.unix_path),)
    for family in (constants.AF_INET, constants.AF_INET6):
        try:
            constants.inet_pton(family, backend.host)
        except OSError:
            continue
        return ((family, (backend.host, backend.port)),)
    return ()
