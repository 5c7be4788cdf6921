"""Endpoints that end a connection the wrong way: before an answer, or in the middle of one.

``?reset=1`` ends it with a TCP reset instead of a FIN.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

from backends.bodies import pattern
from backends.exchange import Reply, Request
from backends.switches import bounded

MAX_BYTES = 1 << 30
LINGER_ZERO = struct.pack("ii", 1, 0)


def close(request: Request) -> Reply:
    """``/close``: reads the request and closes without a byte of answer."""
    raise cut(request)


def abort(request: Request) -> Reply:
    """``/abort?bytes=1000&after=500``: promises ``bytes``, sends ``after``, closes.
    ``&chunked=1``: the same in a chunked answer without its last chunk."""
    total_bytes = bounded(request.query.get("bytes", "1000"), 1, MAX_BYTES)
    sent_bytes = bounded(request.query.get("after", str(total_bytes // 2)), 0, total_bytes)
    headers = () if request.query.get("chunked") == "1" else (("Content-Length", str(total_bytes)),)
    return Reply(half(request, sent_bytes), content_type="application/octet-stream", headers=headers)


def half(request: Request, sent_bytes: int) -> Iterator[bytes]:
    yield from pattern(sent_bytes)
    raise cut(request)


def cut(request: Request) -> OSError:
    """The error that makes the server close now: it takes it for a client that has gone."""
    if request.query.get("reset") == "1":
        connection: socket.socket = request.environ["backends.socket"]
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
    return BrokenPipeError(errno.EPIPE, "cut on request")
