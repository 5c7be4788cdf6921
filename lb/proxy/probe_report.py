"""What a backend's answer to a probe says of its own load: requests in flight and latency, where it says so.

One header of one's own with a number, or the named metrics ``inflight`` (or ``rif``) and ``latency_ms`` of a load report
(ORCA). The backend's word: anything else in it is no report, never an error.
"""

from __future__ import annotations

from typing import NamedTuple

from lb.http1.orca import BadReport, named_metrics, number_of
from lb.http1.response import ResponseFields

_MOST = 1e9


class ProbeReport(NamedTuple):
    """None: not said."""

    inflight: float | None = None
    latency_s: float | None = None


def probe_report(fields: ResponseFields, header: bytes) -> ProbeReport:
    """``header``: the configured one, lower case, or empty; it goes before the load report, of which the first line counts."""
    if header and (inflight := _believed(number_of(fields.value(header)))) is not None:
        return ProbeReport(inflight)
    if not fields.load_lines:
        return ProbeReport()
    try:
        named = named_metrics(fields.load_lines.partition(b"\r\n")[0])
    except BadReport:
        return ProbeReport()
    inflight = _believed(named.get("inflight", named.get("rif")))
    latency_ms = _believed(named.get("latency_ms"))
    return ProbeReport(inflight, latency_ms / 1000 if latency_ms else None)  # 0: it has measured none yet


def _believed(number: float | None) -> float | None:
    """Not beyond reason."""
    return None if number is None or number > _MOST else number
