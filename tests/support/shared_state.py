"""What a balancer's shared memory says, read from outside as the controller does."""

from __future__ import annotations

from pathlib import Path

from lb.config import snapshot as snapshot_file
from lb.state.segment import Segment


def inflight(state_dir: Path) -> int:
    """Requests that all backends together work on, dead workers' slots freed first."""
    snapshot = snapshot_file.read(str(state_dir / "snapshot.json"))
    segment = Segment.open(snapshot.segment)
    try:
        segment.reap()
        columns = [column for name, column in snapshot.columns.items() if name.startswith("backend:")]
        return sum(segment.inflight(column) for column in columns)
    finally:
        segment.close()
