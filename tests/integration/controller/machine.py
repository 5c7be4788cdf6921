"""One machine's shared state for a test: a snapshot file, a segment, and what workers would do to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent

from lb.config import snapshot as snapshots
from lb.controller.attachment import Attachment
from lb.controller.controller import Controller
from lb.model import Config, Health, Listener, Pool, Route, Snapshot, State
from lb.state.columns import allocate, column_names
from lb.state.layout import H_PROBED_GENERATION, SH_VERDICT
from lb.state.segment import Segment

ALGOS = ("adaptive", "round_robin")
QUICK = Health("http", interval_s=0.2, timeout_s=1.0, rise=2, fall=3)


class Machine:
    def __init__(self, folder: Path, slots: int = 8) -> None:
        self.path = str(folder / "snapshot.json")
        self.segment_path = str(folder / "lb.seg")
        self.slots = slots
        self.snapshot: Snapshot | None = None
        self.segment = self.new_segment()

    def new_segment(self) -> Segment:
        """Make the segment anew, as after somebody deleted it."""
        Path(self.segment_path).unlink(missing_ok=True)
        columns = len(self.snapshot.columns) if self.snapshot else 0
        self.segment = Segment.create(self.segment_path, slots=self.slots, columns=columns)
        return self.segment

    def publish(
        self, *pools: Pool, routes: tuple[Route, ...] = (), listeners: tuple[Listener, ...] = (), **state: Any
    ) -> Snapshot:
        """The next generation, in the order in which the publisher writes it."""
        config = Config("lb.yaml", listeners, pools, routes, State(os.path.dirname(self.path), **state))
        kept = self.snapshot.columns if self.snapshot else {}
        generation = self.snapshot.generation + 1 if self.snapshot else 1
        columns = allocate(column_names(config, ALGOS), kept=kept, free=(), unused=len(kept))
        self.segment.grow(1 + max(columns.values()))
        self.snapshot = Snapshot(generation, config, self.segment_path, columns)
        snapshots.write(self.path, self.snapshot)
        self.segment.publish_generation(generation)
        return self.snapshot

    def controller(self) -> Controller:
        return Controller(Attachment(self.path))

    def column(self, name: str) -> int:
        assert self.snapshot is not None
        return self.snapshot.columns[name]

    def shared(self, name: str) -> memoryview:
        """Cells of a backend, ``POOL/ID``."""
        return self.segment.shared(self.column(f"backend:{name}"))

    def verdict(self, name: str) -> int:
        return self.shared(name)[SH_VERDICT]

    @property
    def probed_generation(self) -> int:
        return self.segment.header[H_PROBED_GENERATION]


def wait_until(claim: Callable[[], object], deadline_s: float = 10.0) -> None:
    """Let the greenlets run until ``claim`` is true."""
    with gevent.Timeout(deadline_s, AssertionError("not in time")):
        while not claim():
            gevent.sleep(0.005)
