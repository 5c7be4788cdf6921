"""What a balancer's shared memory says, read from outside as the controller does."""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path

from lb.config import snapshot as snapshot_file
from lb.state.layout import BUCKET_BOUNDS_US, C_BUCKETS
from lb.state.segment import Segment


def inflight(state_dir: Path, of: str = "backend:") -> int:
    """Requests that all backends together work on, or the one whose column ``of`` names, dead workers' slots freed first."""
    snapshot = snapshot_file.read(str(state_dir / "snapshot.json"))
    segment = Segment.open(snapshot.segment)
    try:
        segment.reap()
        columns = [column for name, column in snapshot.columns.items() if name.startswith(of)]
        return sum(segment.inflight(column) for column in columns)
    finally:
        segment.close()


def bucket(duration_us: int) -> int:
    """Cell of the histogram bucket that a duration belongs to (not cumulative)."""
    return C_BUCKETS + bisect_left(BUCKET_BOUNDS_US, duration_us)
