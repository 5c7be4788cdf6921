"""What a backend said of its load with an answer, for ``adaptive``: into the cells that polls write, so the last word counts.

The report has no latency; how fast the backend answers this worker stands for it.
"""

from __future__ import annotations

from time import monotonic_ns

from lb.http1.orca import ABSENT, BadReport, parse_report
from lb.proxy.member import Member
from lb.state.layout import (
    C_LOAD_REPORTS,
    C_LOAD_REPORTS_JUNK,
    SH_CPU_MILLI,
    SH_LATENCY_US,
    SH_MEMORY_MILLI,
    SH_METRICS_NS,
)

MILLI_PERCENT = 100_000


def hear_load(member: Member, lines: bytes, now: float) -> None:
    """``lines``: of the answer's head, the first counts. Junk is counted and otherwise as if nothing had been said.

    Any worker writes the cells, the last one wins: two reports at once may leave the processor of one and the memory of
    the other, both of this instant.
    """
    if lines != member.load_lines:
        try:
            member.load_heard = parse_report(lines[: lines.index(b"\r\n")])
        except BadReport:
            member.counters[C_LOAD_REPORTS_JUNK] += 1
            return
        member.load_lines = lines
    member.counters[C_LOAD_REPORTS] += 1
    cpu, memory = member.load_heard
    if cpu == ABSENT and memory == ABSENT:
        return
    shared = member.shared
    is_first = not shared[SH_METRICS_NS]
    if cpu != ABSENT or is_first:
        shared[SH_CPU_MILLI] = max(0, int(cpu * MILLI_PERCENT))
    if memory != ABSENT or is_first:
        shared[SH_MEMORY_MILLI] = max(0, int(memory * MILLI_PERCENT))
    shared[SH_LATENCY_US] = int(member.latency.value(now) * 1e6)
    shared[SH_METRICS_NS] = monotonic_ns()
