"""All metrics of this machine, collected when somebody asks: nothing is kept between two scrapes but
what keeps sums from falling (CPU time of dead processes, requests of removed routes).

A prometheus_client collector too, by what it can do, so it can stand in any registry beside others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lb.metrics.family import Family, to_prometheus
from lb.metrics.machine import build_info, connections, geo, places, reloads, store, workers
from lb.metrics.processes import ProcessMeter, own_place
from lb.metrics.reading import read_counters
from lb.metrics.traffic import RunningTotal, traffic
from lb.model import Snapshot
from lb.state.reload import last_reload
from lb.state.segment import Segment

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Source = Callable[[], tuple[Snapshot | None, Segment | None]]


class SegmentCollector:
    """``source`` gives the snapshot and segment to read, or Nones: then only this process and the
    build are told."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._meter = ProcessMeter()
        self._requests = RunningTotal()

    def families(self) -> Iterator[Family]:
        snapshot, segment = self._source()
        yield build_info()
        if snapshot is None or segment is None:
            yield from self._meter.families(own_place())
            return
        reading = read_counters(snapshot, segment)
        yield from traffic(reading, self._requests.take(reading.routes), time.monotonic_ns())
        if reading.worker is not None:
            yield from connections(reading.worker)
        live = segment.live_slots()
        yield from workers(segment, live, snapshot.generation)
        yield from store(segment)
        yield from geo(segment)
        yield from reloads(last_reload(snapshot.config.state.dir))
        yield from self._meter.families(places(segment, live))

    def collect(self) -> Iterator[Metric]:
        """The same for a prometheus_client registry."""
        return map(to_prometheus, self.families())

    def describe(self) -> Iterator[Metric]:
        """Nothing: names are known, and describing by collecting would read the segment at import."""
        return iter(())
