"""Which processes say, in the shared segment, that they serve. Reads only; never raises for a
segment that is gone or damaged: then nobody serves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lb.model import Snapshot
from lb.state.layout import H_CONTROLLER_PID, READY, SLOT_GENERATION, SLOT_PID, SLOT_READY
from lb.state.segment import Segment, SegmentError

_PARENT = 1
"""Position behind the command name in /proc/PID/stat: field 4 of proc(5)."""


def workers_serving(snapshot: Snapshot, arbiter: int) -> int:
    """How many workers of an arbiter accept requests on this snapshot's generation, or a later one."""
    with opened(snapshot) as segment:
        if segment is None:
            return 0
        rows = [segment.slot_cells(index) for index in segment.live_slots()]
        ready = [row for row in rows if row[SLOT_READY] == READY and row[SLOT_GENERATION] >= snapshot.generation]
        return sum(parent_of(row[SLOT_PID]) == arbiter for row in ready)


def controllers_serving(snapshot: Snapshot, arbiter: int) -> int:
    """1 if the controller that last said so in the segment is a worker of this arbiter."""
    with opened(snapshot) as segment:
        return int(segment is not None and parent_of(segment.header[H_CONTROLLER_PID]) == arbiter)


@contextlib.contextmanager
def opened(snapshot: Snapshot) -> Iterator[Segment | None]:
    try:
        segment = Segment.open(snapshot.segment)
    except SegmentError:
        yield None
        return
    try:
        yield segment
    finally:
        segment.close()


def parent_of(pid: int) -> int:
    """0 if there is no such process."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as stat:
        return int(stat.read().rpartition(b")")[2].split()[_PARENT])
    return 0
