"""Names for the SHARED cells of one backend, as the controller reads and writes them.

The controller is the only writer of all of them but the stamps of refusal and ejection, which workers write. A view
stays valid while its segment grows; after the segment was replaced, new ones are needed.
"""

from __future__ import annotations

from lb.health.load import LoadReport
from lb.resilience.outlier import MAX_EJECTION_S
from lb.state.layout import (
    SH_CPU_MILLI,
    SH_EJECTED_UNTIL_NS,
    SH_LATENCY_US,
    SH_MEMORY_MILLI,
    SH_METRICS_NS,
    SH_PROBE_OK_NS,
    SH_PROBES_FAILED,
    SH_PROBES_OK,
    SH_REFUSED_NS,
    SH_SHARE_MILLI,
    SH_TRANSITIONS,
    SH_VERDICT,
)
from lb.state.segment import Segment

_LONGEST_EJECTION_NS = int(MAX_EJECTION_S * 1e9)


class HealthCells:
    """The health of one backend."""

    def __init__(self, segment: Segment, column: int) -> None:
        self._segment = segment
        self._cells = segment.shared(column)

    @property
    def verdict(self) -> int:
        return self._cells[SH_VERDICT]

    @verdict.setter
    def verdict(self, verdict: int) -> None:
        self._cells[SH_VERDICT] = verdict

    @property
    def probe_ok_ns(self) -> int:
        return self._cells[SH_PROBE_OK_NS]

    @probe_ok_ns.setter
    def probe_ok_ns(self, at_ns: int) -> None:
        self._cells[SH_PROBE_OK_NS] = at_ns

    @property
    def refused_ns(self) -> int:
        return self._cells[SH_REFUSED_NS]

    @property
    def share_milli(self) -> int:
        return self._cells[SH_SHARE_MILLI]

    @share_milli.setter
    def share_milli(self, share: int) -> None:
        """0: all. Workers look at whom it holds for when that is announced, and at how much with every pick."""
        has_changed = bool(share) != bool(self._cells[SH_SHARE_MILLI])
        self._cells[SH_SHARE_MILLI] = share
        if has_changed:
            self.announce()

    @property
    def is_refused(self) -> bool:
        """Whether workers leave the backend out because of a refused connect, whatever its verdict."""
        return self.refused_ns > self.probe_ok_ns

    def count(self, *, ok: bool) -> None:
        self._cells[SH_PROBES_OK if ok else SH_PROBES_FAILED] += 1

    def count_transition(self) -> None:
        self._cells[SH_TRANSITIONS] += 1

    def announce(self) -> None:
        """Make workers look; called after the cells are written."""
        self._segment.bump_health()

    def forget_the_future(self, now_ns: int) -> None:
        """Clear stamps of an earlier boot: a segment on disk outlives it, its clock does not, and a
        refused connect or an ejection of then would keep a backend out for days."""
        latest = {SH_PROBE_OK_NS: now_ns, SH_REFUSED_NS: now_ns, SH_EJECTED_UNTIL_NS: now_ns + _LONGEST_EJECTION_NS}
        for cell, latest_ns in latest.items():
            if self._cells[cell] > latest_ns:
                self._cells[cell] = 0


class LoadCells:
    """The polled load of one backend."""

    def __init__(self, segment: Segment, column: int) -> None:
        self._cells = segment.shared(column)

    def write(self, report: LoadReport, at_ns: int) -> None:
        cells = self._cells
        cells[SH_CPU_MILLI] = round(report.cpu_percent * 1000)
        cells[SH_MEMORY_MILLI] = round(report.memory_percent * 1000)
        cells[SH_LATENCY_US] = round(report.latency_s * 1e6)
        cells[SH_METRICS_NS] = at_ns  # last: a reader that sees the stamp sees the numbers

    def expire(self, older_than_ns: int) -> bool:
        """Say *never polled* if the last report is older. True if that was news."""
        if not self._cells[SH_METRICS_NS] or self._cells[SH_METRICS_NS] > older_than_ns:
            return False
        self._cells[SH_METRICS_NS] = 0
        return True
