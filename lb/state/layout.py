"""Where what stands in the shared segment: numbers only, so that every process agrees.

The segment is a file of signed 64-bit cells: header | slot table | column 0 | column 1 | ...
A *slot* belongs to one worker process, which is the only writer of its cells. A *column* belongs
to one counted thing (a backend, a route, a policy's name, the worker itself) and holds, one after
another: SHARED cells (one value for the machine), one INFLIGHT cell per slot (contiguous, so that a
sum is one slice), and COUNTERS cells per slot. Columns come last, so the file grows by appending.

Nothing is moved when a worker dies: its counters stay where they are and keep counting in every
sum, and the next worker that takes the slot goes on adding to them. Only its inflight cells are
zeroed, by whoever finds it dead first. So no crash can lose or double a count.
"""

from __future__ import annotations

from typing import Final

MAGIC: Final = 0x6C62_5345_474D_3031  # "lbSEGM01"
VERSION: Final = 3

CONTROL_SOCKET: Final = "control.sock"
"""Where the controller answers, in ``state.dir``."""

HEADER_CELLS: Final = 512
H_MAGIC: Final = 0
H_VERSION: Final = 1
H_SLOTS: Final = 2
H_COLUMNS: Final = 3
H_GENERATION: Final = 4
"""Generation of the snapshot file that workers should be on; written after the file is in place."""
H_HEALTH: Final = 5
"""Bumped by whoever changes a SHARED verdict cell; workers rebuild their eligible lists."""
H_PROBED_GENERATION: Final = 6
"""Last generation for which every backend has had its first probe round."""
H_CONTROLLER_PID: Final = 7
H_CONTROLLER_BEAT_NS: Final = 8
H_MACHINES: Final = 9
"""Machines that share a store with this one, this one too, as last known; 0: never known."""
H_GEO: Final = 11
"""Whether there is a geo database that workers can use."""
GEO_NONE: Final = 0
"""None is configured."""
GEO_MISSING: Final = 1
GEO_LOADED: Final = 2
H_GEO_BUILT_S: Final = 12
"""When it was built, in seconds since 1970, as it says itself."""
H_GEO_REFUSED: Final = 13
"""1: the file as it is now cannot be used."""
H_STORE: Final = 10
"""How the controller stands with the store that machines share."""
STORE_NONE: Final = 0
STORE_UP: Final = 1
STORE_DOWN: Final = 2
H_STORE_REASON: Final = 14
"""Why it is down: a number of ``lb.state.standing``."""
H_NUMBER: Final = 16
"""This machine's number among them (``lb.state.store.numbers``), plus 1; 0: it never had one. Kept while no controller runs."""

SLOT_CELLS: Final = 8
SLOT_PID: Final = 0
SLOT_START: Final = 1
SLOT_BEAT_NS: Final = 2
SLOT_GENERATION: Final = 3
SLOT_READY: Final = 4
SLOT_HEALTH: Final = 5
"""pid 0: free. START: start time of the process in clock ticks (/proc/PID/stat field 22).
BEAT: CLOCK_MONOTONIC. HEALTH: the H_HEALTH whose verdicts its picks know."""
READY: Final = 1
DRAINING: Final = 2
"""Of SLOT_READY: it accepts; it ends what it has. 0 before and after."""

SHARED_CELLS: Final = 32
SH_VERDICT: Final = 0
UNKNOWN: Final = 0
UP: Final = 1
DOWN: Final = 2
SH_PROBE_OK_NS: Final = 1
"""CLOCK_MONOTONIC of the last good probe; written by the controller."""
SH_REFUSED_NS: Final = 2
"""CLOCK_MONOTONIC of the last refused connect; any worker writes it, the last one wins.
A backend is out while this is later than SH_PROBE_OK_NS."""
SH_CURSOR: Final = 3
"""Next ticket of this column's round robin; changed only under the segment's lock."""
SH_CPU_MILLI: Final = 4
SH_MEMORY_MILLI: Final = 5
SH_LATENCY_US: Final = 6
SH_METRICS_NS: Final = 7
"""Load for ``adaptive``: percent x 1000, percent x 1000, microseconds, CLOCK_MONOTONIC of when that was (0: never). Written by
the controller when it has polled and by any worker when an answer said so; the last one wins."""
SH_PROBES_OK: Final = 8
SH_PROBES_FAILED: Final = 9
SH_TRANSITIONS: Final = 10
SH_EJECTED_UNTIL_NS: Final = 11
SH_CURSOR_WEIGHTED: Final = 12
SH_CURSOR_OTHER: Final = 13
"""As SH_CURSOR, for weighted_round_robin and for all other policies: no policy's order is disturbed by requests
that name another one."""
SH_CYCLE: Final = 14
SH_CYCLE_WEIGHTED: Final = 15
"""Tickets in a whole cycle of the order of SH_CURSOR and SH_CURSOR_WEIGHTED; written by workers, 0: nobody asked yet."""
SH_SLICE: Final = 16
SH_SLICE_UNTIL_NS: Final = 17
SH_SLICE_LOST: Final = 18
"""This machine's slice of a limit that machines share, CLOCK_MONOTONIC of its end (0: never had one), and what holds
behind that end with ``on_store_loss: open`` (0: nobody has said; then the whole limit). Written by the controller."""
SH_FULL_NS: Final = 19
"""CLOCK_MONOTONIC of when a worker last wanted a place there that its slice had not; any worker writes it, the last one
wins."""
SH_RUN: Final = 20
SH_RUN_WEIGHTED: Final = 21
"""The first ticket of SH_CURSOR's and SH_CURSOR_WEIGHTED's that the order of all machines does not have yet, as far as
the controller knows, which writes it (``lb.state.store.order``)."""
SH_ORDERS: Final = 22
"""Which orders they are of, 31 bits each of a digest; those of SH_RUN_WEIGHTED's stand higher. Written by the controller."""
SH_SHARE_MILLI: Final = 23
"""The thousandths of its share that a backend gets for a while; 0: all of it. Written by the controller."""
SH_OTHERS: Final = SHARED_CELLS - 1
"""Requests that other machines have in flight there, as they last said; written by the controller. Right before the
INFLIGHT cells, so that a load is one sum (``Segment.load_view``)."""

# The SHARED cells of a route with a rate limit; SH_SLICE to SH_FULL_NS are as above, of its ``burst`` units
SR_TURN: Final = 0
"""Which of the buckets is in use, modulo their number; only grows."""
SR_BUCKETS: Final = 1
"""Two cells for each of ``lb.state.locks.BUCKETS``: CLOCK_MONOTONIC of its last change (0: never used), and the tokens it had
then, in billionths. Changed only under the bucket's lock, in this order; read in the other one without."""
SR_ASKED: Final = 7
"""Requests that have asked, let through or not; changed under the lock."""
SR_MACHINES: Final = 8
"""How many divide the rate behind the end of their slices; 0: nobody has said, it is this machine's. Written by the
controller."""

COUNTER_CELLS: Final = 64
# Both attempt columns (backend:*) and request columns (route:*, pool:*, algo:*)
C_COUNT: Final = 0
C_STATUS: Final = 0
"""C_STATUS + n is the count of nxx answers, n = 1..5."""
C_CONNECT_FAILED: Final = 6
C_RESET: Final = 7
C_TIMEOUT: Final = 8
C_BAD_RESPONSE: Final = 9
C_CONNECTS: Final = 10
C_REUSES: Final = 11
C_BYTES_IN: Final = 12
C_BYTES_OUT: Final = 13
C_RETRIES: Final = 14
C_DURATION_US: Final = 15
C_BUCKETS: Final = 16
C_CLIENT_GONE: Final = 48
C_ABORTED: Final = 49
C_RATE_LIMITED: Final = 52
"""Of a route: requests that its rate limit refused."""
# Only pool columns
C_POLICY_FAILURES: Final = 60
C_POLICY_FALLBACKS: Final = 61
C_LOAD_REPORTS: Final = 50
C_LOAD_REPORTS_JUNK: Final = 51
# The column "worker"
W_ACCEPTED: Final = 0
W_CLOSED: Final = 1
W_HEAD_ERRORS: Final = 2
W_HEAD_TIMEOUTS: Final = 3
W_TLS_FAILED: Final = 4
W_LOG_DROPPED: Final = 5
W_UNDERSCORE_DROPPED: Final = 6
W_REFUSED: Final = 7
W_GEO_LOOK_UPS: Final = 8
W_GEO_UNKNOWN: Final = 9
# Columns region:POOL/REGION, whose SHARED cells hold the orders of that region's clients
R_LOCAL: Final = 0
R_ELSEWHERE: Final = 1

BUCKET_BOUNDS_US: Final = (
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
)  # fmt: skip
"""Upper bounds; C_BUCKETS + len(BUCKET_BOUNDS_US) is the +Inf bucket."""


def column_cells(slots: int) -> int:
    return SHARED_CELLS + slots + (-slots % 8) + slots * COUNTER_CELLS


def column_offset(column: int, slots: int) -> int:
    """First cell of a column."""
    return HEADER_CELLS + slots * SLOT_CELLS + column * column_cells(slots)


def inflight_offset(column: int, slots: int) -> int:
    """First of the ``slots`` inflight cells of a column."""
    return column_offset(column, slots) + SHARED_CELLS


def counters_offset(column: int, slot: int, slots: int) -> int:
    """First counter cell of one slot of a column."""
    return inflight_offset(column, slots) + slots + (-slots % 8) + slot * COUNTER_CELLS
