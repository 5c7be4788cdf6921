"""One probe of one backend: is it able to serve right now?

Does the I/O and says what it saw; turning results into a verdict is ``lb.health.checker``'s.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from lb.health.body import read_beginning
from lb.health.exchange import ExchangeError, NoAddress, connection, get_request, read_final_head, within
from lb.model import Backend, BackendTls, Health

REGEX_LIMIT_BYTES = 8 * 1024
"""Of a body that a pattern is looked for in: it backtracks, and this is the backend's text (``lb.config.patterns``)."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """``reason`` is for people: ``ok``, ``timeout``, ``connection refused``, ``status 503`` ... ``has_address``
    false: the backend was not asked, as its name never resolved here."""

    ok: bool
    reason: str
    duration_s: float
    has_address: bool = True


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """Everything a probe needs to know of one backend and its pool."""

    backend: Backend
    health: Health
    tls: BackendTls
    slow_start_s: float = 0.0

    @property
    def port(self) -> int:
        return self.health.port or self.backend.port

    @property
    def session_tls(self) -> BackendTls | None:
        """How to speak TLS, or None. A probe of type ``http`` follows the scheme of its backend as
        long as it goes to the backend's own port; ``tcp`` never speaks TLS."""
        follows = self.health.type == "http" and self.backend.scheme == "https" and self.health.port is None
        return self.tls if self.health.type == "https" or follows else None


def probe(target: ProbeTarget) -> ProbeResult:
    """Probe once. Blocks the calling greenlet at most ``health.timeout_s``; never raises for anything
    a backend does."""
    started = time.monotonic()
    reason, has_address = "ok", True
    try:
        with within(target.health.timeout_s):
            _attempt(target)
    except ExchangeError as error:
        reason, has_address = str(error), not isinstance(error, NoAddress)
    return ProbeResult(reason == "ok", reason, time.monotonic() - started, has_address)


def _attempt(target: ProbeTarget) -> None:
    """Returns if the backend is fine, else ExchangeError."""
    health = target.health
    if health.type == "none":
        return
    with connection(target.backend, port=target.port, tls=target.session_tls) as sock:
        if health.type == "tcp":
            return
        sock.sendall(get_request(health.path, health.host or target.backend.authority, health.headers))
        head, rest = read_final_head(sock)
        if not _is_accepted(head.status, health):
            raise ExchangeError(f"status {head.status}")
        if health.body and not _occurs(health, read_beginning(sock, head.fields, rest)):
            raise ExchangeError("body does not match")


def _occurs(health: Health, body: bytes) -> bool:
    if not health.body_is_regex:
        return health.body.encode() in body
    return re.search(health.body.encode(), body[:REGEX_LIMIT_BYTES], re.DOTALL) is not None


def _is_accepted(status: int, health: Health) -> bool:
    """Redirects are answers like any other: a backend that sends one is alive, and nobody follows it."""
    return status in health.status if health.status else 200 <= status <= 399
