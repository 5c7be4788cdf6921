"""What systemd wants to hear (``sd_notify(3)``), said by the supervisor and by nobody below it.

Outside systemd (no ``NOTIFY_SOCKET``) every call does nothing. Never blocks, never raises.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping


def notify(*assignments: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send ``READY=1``, ``STATUS=...`` and the like as one datagram."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # the abstract namespace
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto("\n".join(assignments).encode(), address)


def reloading() -> None:
    """``Type=notify-reload`` wants the instant beside it, or it takes the message for an old one."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_interval_s(environ: Mapping[str, str] = os.environ) -> float | None:
    """How often to send ``WATCHDOG=1``: half of what systemd allows; None when it does not ask us."""
    limit = environ.get("WATCHDOG_USEC", "")
    asked = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(limit) / 2_000_000 if asked and limit.isascii() and limit.isdigit() and int(limit) else None
