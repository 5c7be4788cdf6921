"""A segment with known numbers in it, and the snapshot that names its columns."""

from __future__ import annotations

from pathlib import Path

from lb.model import Backend, Config, Pool, Route, Snapshot, State
from lb.state.columns import allocate, column_names
from lb.state.segment import Segment

ALGOS = ("adaptive", "ip_hash", "least_connections", "peak_ewma", "power_of_two", "random", "round_robin", "weighted")


def machine(folder: Path, *, backends: int = 2, routes: int = 2, slots: int = 48) -> tuple[Snapshot, Segment]:
    pool = Pool("web", tuple(Backend(f"b{i}", host="127.0.0.1", port=5001 + i) for i in range(backends)))
    config = Config(
        "lb.yaml", (), (pool,), tuple(Route(f"r{i}", "pool", pool="web") for i in range(routes)), State(str(folder))
    )
    columns = allocate(column_names(config, ALGOS), kept={}, free=(), unused=0)
    segment = Segment.create(str(folder / "lb.seg"), slots=slots, columns=len(columns), generation=7)
    return Snapshot(7, config, segment.path, columns), segment


def fill(segment: Segment, *, top: int = 1_000_000) -> None:
    """A different number in every counter of every slot."""
    for column in range(segment.columns):
        for slot in range(segment.slots):
            cells = segment.counters(column, slot)
            for i in range(len(cells)):
                cells[i] = (column * 7919 + slot * 104_729 + i * 31) % top
