"""What a backend's answer to a probe says of its own load: requests in flight and latency, where it says so.

One header of one's own with a number, or ORCA's ``endpoint-load-metrics`` as text or JSON with the named metrics
``inflight`` (or ``rif``) and ``latency_ms``. The backend's word: anything else in it is no report, never an error.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import NamedTuple

from lb.http1.response import ResponseFields

ORCA = b"endpoint-load-metrics"
_MOST = 1e9


class ProbeReport(NamedTuple):
    """None: not said."""

    inflight: float | None = None
    latency_s: float | None = None


def probe_report(fields: ResponseFields, header: bytes) -> ProbeReport:
    """``header``: the configured one, lower case, or empty; it goes before ORCA's."""
    if header and (inflight := _number(fields.value(header))) is not None:
        return ProbeReport(inflight)
    named = _named_metrics(fields.value(ORCA))
    inflight = _number(named.get("inflight", named.get("rif", "")))
    latency_ms = _number(named.get("latency_ms", ""))
    return ProbeReport(inflight, None if latency_ms is None else latency_ms / 1000)


def _named_metrics(value: bytes) -> dict[str, object]:
    text = value.decode("latin-1")
    kind, _, rest = text.partition(" ")
    if kind.upper() == "JSON":
        with suppress(ValueError, RecursionError):
            document = json.loads(rest)
            named = document.get("named_metrics") if isinstance(document, dict) else None
            return named if isinstance(named, dict) else {}
        return {}
    pairs = [pair.partition("=") for pair in (rest if kind.upper() == "TEXT" else text).split(",")]
    prefix = "named_metrics."
    return {name.strip().removeprefix(prefix): said for name, _, said in pairs if name.strip().startswith(prefix)}


def _number(said: object) -> float | None:
    """Neither below 0, nor beyond reason, nor NaN."""
    if isinstance(said, bool) or not isinstance(said, (str, bytes, int, float)):
        return None
    with suppress(ValueError, OverflowError):
        number = float(said)
        return number if 0 <= number <= _MOST else None
    return None
