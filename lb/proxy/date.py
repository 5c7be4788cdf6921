"""The Date of an answer that came without one (RFC 9110 section 6.6.1), made once a second."""

from __future__ import annotations

from email.utils import formatdate
from time import time

_line = b""
_second = 0


def date_line() -> bytes:
    """``Date: ...`` with its CRLF. Wall clock: the one thing a client compares with its own."""
    global _line, _second
    second = int(time())
    if second != _second:
        _second = second
        _line = b"Date: %b\r\n" % formatdate(second, usegmt=True).encode()
    return _line
