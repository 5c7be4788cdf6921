"""What a backend says about its own load, for the ``adaptive`` policy.

Asks for a small JSON document and reads it strictly and bounded: the body is a backend's word and
may be anything. Knows nothing of scores.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from lb.health.body import read_body
from lb.health.exchange import ExchangeError, connection, get_request, read_final_head, within
from lb.model import Backend, BackendTls

_MAX_PERCENT = 1e5
"""More than the CPU of 1,000 cores is no measurement. Keeps what is stored far inside 64 bits."""
_MAX_RESPONSE_S = 3600.0


@dataclass(frozen=True, slots=True)
class LoadReport:
    """``cpu_usage``, ``memory_usage`` and ``response_time`` of the document. Its ``net_usage`` and
    ``active_connections`` are not used: what we ourselves have given a backend is known exactly."""

    cpu_percent: float
    memory_percent: float
    latency_s: float


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """Where one backend's load is asked for."""

    backend: Backend
    tls: BackendTls
    path: str
    timeout_s: float


def fetch_load(target: LoadTarget) -> LoadReport:
    """Ask once; blocks the calling greenlet at most ``timeout_s``. ExchangeError if there is no usable answer."""
    backend = target.backend
    tls = target.tls if backend.scheme == "https" else None
    with within(target.timeout_s), connection(backend, port=backend.port, tls=tls) as sock:
        sock.sendall(get_request(target.path, backend.authority, [("Accept", "application/json")]))
        head, rest = read_final_head(sock)
        if head.status != 200:
            raise ExchangeError(f"status {head.status}")
        return parse_load(read_body(sock, head.fields, rest))


def parse_load(body: bytes) -> LoadReport:
    """The report in a JSON document; ExchangeError if a number is missing or makes no sense."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:  # ValueError: bad UTF-8 too
        raise ExchangeError("load report is not JSON") from error
    if not isinstance(document, dict):
        raise ExchangeError("load report is not an object")
    return LoadReport(
        _number(document, "cpu_usage", _MAX_PERCENT),
        _number(document, "memory_usage", _MAX_PERCENT),
        _number(document, "response_time", _MAX_RESPONSE_S),
    )


def _number(document: dict[str, Any], key: str, most: float) -> float:
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ExchangeError(f"load report has no number {key}")
    if not 0 <= value <= most:  # false for NaN too
        raise ExchangeError(f"load report has an impossible {key}")
    return float(value)
