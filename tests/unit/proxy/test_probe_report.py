from __future__ import annotations

from base64 import b64encode
from struct import pack

import pytest

from lb.http1.response import parse_fields
from lb.proxy.probe_report import ProbeReport, probe_report

NOTHING = ProbeReport()
INFLIGHT = b"\x42\x13\x0a\x08inflight\x11" + pack("<d", 5.0)
"""Of an OrcaLoadReport in protobuf: the entry of that name in named_metrics (8)."""


def in_base64(message: bytes) -> str:
    return b64encode(message).decode()


@pytest.mark.parametrize(
    ("line", "report"),
    [
        ("X-Inflight: 7", ProbeReport(7.0)),
        ("endpoint-load-metrics: TEXT cpu_utilization=0.3, named_metrics.inflight=4", ProbeReport(4.0)),
        ("endpoint-load-metrics: TEXT named_metrics.rif=4,named_metrics.latency_ms=12.5", ProbeReport(4.0, 0.0125)),
        ("endpoint-load-metrics: TEXT named_metrics.inflight=2,named_metrics.latency_ms=x", ProbeReport(2.0)),
        (f"endpoint-load-metrics: BIN {in_base64(INFLIGHT)}", ProbeReport(5.0)),
        (f"endpoint-load-metrics-bin: {in_base64(INFLIGHT)}", ProbeReport(5.0)),
        ('Endpoint-Load-Metrics: JSON {"named_metrics": {"inflight": 3, "latency_ms": 20}}', ProbeReport(3.0, 0.02)),
        ('endpoint-load-metrics: JSON {"cpu_utilization": 0.3}', NOTHING),
        ("endpoint-load-metrics: JSON [1]", NOTHING),
        ("endpoint-load-metrics: JSON {", NOTHING),
        ("endpoint-load-metrics: JSON " + "[" * 4000, NOTHING),
        ('endpoint-load-metrics: JSON {"named_metrics": {"inflight": true}}', NOTHING),
        ("endpoint-load-metrics: TEXT named_metrics.inflight=nan", NOTHING),
        ("endpoint-load-metrics: TEXT named_metrics.inflight=-1", NOTHING),
        ("endpoint-load-metrics: TEXT named_metrics.inflight=1e99", NOTHING),
        ("endpoint-load-metrics: TEXT named_metrics.inflight=0,named_metrics.latency_ms=0", ProbeReport(0.0)),
        ("endpoint-load-metrics: TEXT named_metrics.inflight=2e9", NOTHING),
        ("endpoint-load-metrics: named_metrics.inflight=4", NOTHING),
        ("endpoint-load-metrics: BIN AAAA", NOTHING),
        ("X-Inflight: 1_0", NOTHING),
        ("X-Inflight: -1", NOTHING),
        ("X-Inflight: many", NOTHING),
        ("Server: x", NOTHING),
    ],
)
def test_what_it_says(line: str, report: ProbeReport) -> None:
    assert probe_report(parse_fields(f"{line}\r\n".encode()), b"x-inflight") == report


def test_ones_own_header_goes_first() -> None:
    fields = parse_fields(b"endpoint-load-metrics: TEXT named_metrics.inflight=4\r\nX-Inflight: 9\r\n")
    assert probe_report(fields, b"x-inflight").inflight == 9.0
    assert probe_report(fields, b"").inflight == 4.0
