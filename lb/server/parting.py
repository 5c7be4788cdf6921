"""How a WSGI application ends a connection that is its server's.

PEP 3333 forbids an application a Connection field: wsgiref and waitress refuse an answer that has one, gunicorn drops
it. But gunicorn's answer can be told to close, and its socket is shown, and gevent's own server does as the field says.
Others close, or read the rest of a request, as they please. Knows nothing of requests.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

from gevent import socket as green

from lb.proxy.reply import LINGER_BYTES, LINGER_S
from lb.proxy.stream import BULK_BYTES
from lb.server.deaf_client import shut_down


def announce_end(start_response: Callable[..., Any]) -> bool:
    """Before the head goes out: gunicorn says `Connection: close` in it, closes behind the answer, and serves nothing
    that came behind this request. False: this is not gunicorn, or a middleware stands before it."""
    force_close = getattr(getattr(start_response, "__self__", None), "force_close", None)
    if force_close is None:
        return False
    force_close()
    return True


def ends_by_field(environ: Mapping[str, Any]) -> bool:
    """Whether this server closes behind an answer that says `Connection: close`."""
    return str(environ.get("SERVER_SOFTWARE", "")).startswith("gevent/")


def linger(sock: Any) -> bool:
    """Ends our side behind an answer whose end was announced, and reads on for a moment, as on our own worker: gunicorn's gevent worker just closes, and with
    unread bytes that is a reset which could overtake the answer (RFC 9112 section 9.6). Its workers without gevent
    linger themselves; whether it was done here is returned.

    Reads past TLS and past whoever else reads from the socket: nobody wants these bytes any more."""
    if not isinstance(sock, green.socket):
        return False
    shut_down(sock, socket.SHUT_WR)
    with suppress(OSError):
        _discard(sock.fileno())
    return True


def _discard(fd: int) -> None:
    until, left = monotonic() + LINGER_S, LINGER_BYTES
    while left > 0 and (left_s := until - monotonic()) > 0:
        green.wait_read(fd, left_s)  # lets others have their turn, too
        with suppress(BlockingIOError):
            taken = len(os.read(fd, BULK_BYTES))
            if not taken:
                return
            left -= taken
