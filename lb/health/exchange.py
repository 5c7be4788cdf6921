"""One short conversation with one backend: open a socket, send a GET, read the answer's head.

What probes and load polls share. Own code on gevent sockets, because the usual client libraries
accept answers that are no HTTP (``Content-Length: -1``, a 103 as the final answer). Follows no
redirect and keeps no connection. Time limits are the caller's (``within``).
"""

from __future__ import annotations

import errno
import socket as names
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import gevent
from gevent import socket, ssl

from lb.health.addresses import AddressBook, Addresses
from lb.health.tls import client_context, server_name
from lb.http1.response import BadResponse, ResponseHead, find_response_head_end, parse_response
from lb.model import Backend, BackendTls

HEAD_LIMIT_BYTES = 8 * 1024
USER_AGENT = "lb-probe"
_FIELDS = (("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Connection", "close"))
_RECV_BYTES = 4096
_INTERIM_LIMIT = 8
"""More 1xx answers than this before the final one are no sign of health."""

_book = AddressBook()
"""Of this process: all probes and polls of a name share what was found last."""

_REASONS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ENOENT: "no such unix socket",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.ETIMEDOUT: "timeout",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
}


class ExchangeError(Exception):
    """The conversation failed. ``str()`` is a short reason for people, without the backend's bytes."""


class NoAddress(ExchangeError):
    """Its name never resolved here: nothing was learned of the backend itself."""


@contextmanager
def within(timeout_s: float) -> Iterator[None]:
    """Everything inside together may take ``timeout_s``; any failure leaves as ExchangeError."""
    try:
        with gevent.Timeout(timeout_s, ExchangeError("timeout")):
            yield
    except BadResponse as error:
        raise ExchangeError(f"bad response: {error.detail}") from error
    except ssl.SSLError as error:
        raise ExchangeError(f"tls: {_tls_reason(error)}") from error
    except OSError as error:
        raise ExchangeError(_reason(error)) from error
    except ValueError as error:  # a name or path that no socket or encoding takes
        raise ExchangeError(f"cannot be asked: {error}") from error


@contextmanager
def connection(backend: Backend, *, port: int, tls: BackendTls | None) -> Iterator[Any]:
    """A connected socket to the backend, closed at the end. ``tls`` None: plain."""
    context = None if tls is None else _context(tls)
    sock = _connect(backend, port)
    try:
        if tls is not None and context is not None:
            sock = context.wrap_socket(sock, server_hostname=server_name(tls, backend))
        yield sock
    finally:
        sock.close()


def _context(tls: BackendTls) -> Any:
    try:
        return client_context(tls)
    except OSError as error:
        raise ExchangeError(f"ca file: {error.strerror or 'no certificate in it'}".lower()) from error


def _connect(backend: Backend, port: int) -> Any:
    """To the first address that takes us; the last one's OSError if none does."""
    if backend.unix_path:
        return _connected(names.AF_UNIX, backend.unix_path)
    *others, last = _addresses(backend.host, port)
    for family, address in others:
        with suppress(OSError):
            return _connected(family, address)
    return _connected(*last)


def _addresses(host: str, port: int) -> Addresses:
    try:
        return _book.addresses(host, port)
    except OSError as error:
        raise NoAddress(_reason(error)) from error
    except ExchangeError as timeout:
        raise NoAddress(str(timeout)) from timeout


def _connected(family: int, address: Any) -> Any:
    sock = socket.socket(family, names.SOCK_STREAM)
    try:
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def get_request(path: str, host: str, fields: Sequence[tuple[str, str]] = ()) -> bytes:
    """The bytes of a GET that ends its connection. ``fields`` go before ours of the same name."""
    given = {name.lower() for name, _ in fields}
    ours = [(name, value) for name, value in _FIELDS if name.lower() not in given]
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in (*ours, *fields))]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def read_final_head(sock: Any) -> tuple[ResponseHead, bytes]:
    """The final answer's head (1xx ones are passed over) and what of the body came along with it."""
    buffer = b""
    for _ in range(_INTERIM_LIMIT):
        head, buffer = _read_head(sock, buffer)
        if head.status >= 200:
            return head, buffer
        if head.status == 101:
            raise ExchangeError("bad response: 101 without Upgrade")
    raise ExchangeError("bad response: too many 1xx answers")


def _read_head(sock: Any, buffer: bytes) -> tuple[ResponseHead, bytes]:
    while not (end := find_response_head_end(buffer)):
        if len(buffer) >= HEAD_LIMIT_BYTES:
            raise ExchangeError("head over 8 KiB")
        data = sock.recv(_RECV_BYTES)
        if not data:
            raise ExchangeError("closed before an answer" if not buffer else "closed inside the head")
        buffer += data
    if end > HEAD_LIMIT_BYTES:
        raise ExchangeError("head over 8 KiB")
    return parse_response(buffer[:end]), buffer[end:]


def _reason(error: OSError) -> str:
    if isinstance(error, names.gaierror):
        return "name not resolved"
    return _REASONS.get(error.errno or 0) or f"{error.strerror or type(error).__name__}".lower()


def _tls_reason(error: Any) -> str:
    """Why verification failed if it did, else OpenSSL's name of the failure."""
    return getattr(error, "verify_message", "") or str(error.reason or "handshake failed").lower()
