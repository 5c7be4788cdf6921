"""What a worker knows of the controller: where it answers, whether it lives, what to say when it does not.

Workers serve without it; only what it alone can tell (``/metrics``, the first verdicts) is missing then.
"""

from __future__ import annotations

import os
from time import monotonic_ns

from lb.errors import AttemptError, LbError
from lb.http1.request import RequestHead
from lb.model import Backend, Health, Pool, PoolTimeouts
from lb.proxy.answer import Answer
from lb.proxy.exchange import Exchange
from lb.proxy.forward import forward
from lb.proxy.pool import LivePool
from lb.proxy.routes import Local
from lb.state.layout import CONTROL_SOCKET, H_CONTROLLER_BEAT_NS, H_STORE, H_STORE_REASON, STORE_DOWN
from lb.state.segment import Segment
from lb.state.standing import reason_text

TIMEOUT_S = 5.0
"""Its socket is held by the supervisor: with the controller dead nobody would answer for long."""
SILENT_S = 3.0
"""It says twice a second that it lives."""
_NOBODY_THERE = ("connect_failed", "no_backend")


def control_pool(state_dir: str) -> Pool:
    """The built-in pool whose only backend is the controller."""
    backend = Backend("control", unix_path=os.path.join(state_dir, CONTROL_SOCKET))
    timeouts = PoolTimeouts(first_byte_s=TIMEOUT_S, total_s=TIMEOUT_S)
    return Pool("control", (backend,), policy="random", health=Health(type="none"), timeouts=timeouts)


def metrics_from(pool: LivePool) -> Local:
    """The controller's metrics, whatever path was asked for. LbError ``no_controller`` if nobody is there."""

    def metrics(exchange: Exchange) -> Answer:
        asked = exchange.head
        exchange.head = RequestHead(asked.method, b"/metrics", asked.version_minor, asked.authority, asked.fields)
        try:
            return forward(exchange, pool, "random")
        except AttemptError as error:
            if error.reason in _NOBODY_THERE:
                raise LbError("no_controller", error.detail) from error
            raise
        finally:
            exchange.head = asked  # the access log tells what was asked for

    return metrics


def is_running(segment: Segment) -> bool:
    """Whether the controller has been heard of lately."""
    return 0 <= _silence_s(segment) < SILENT_S


def silence(segment: Segment) -> str:
    """What is wrong with the controller and for how long, for people; empty while it is heard of."""
    if is_running(segment):
        return ""
    silence_s = _silence_s(segment)
    since = f"has said nothing for {silence_s:.0f} s" if silence_s >= 0 else "has not been heard of"
    return f"the controller {since}: the last verdicts of probes are in force"


def store_problem(segment: Segment) -> str:
    """What being without the store means, for people; empty while it is in use or none is configured."""
    if segment.header[H_STORE] != STORE_DOWN:
        return ""
    reason = reason_text(segment.header[H_STORE_REASON])
    return f"the store is not in use, it {reason}: round robin, loads and limits are this machine's own"


def _silence_s(segment: Segment) -> float:
    """Below 0: it never said a word since the machine was started."""
    beat_ns = segment.header[H_CONTROLLER_BEAT_NS]
    return (monotonic_ns() - beat_ns) / 1e9 if beat_ns else -1.0
