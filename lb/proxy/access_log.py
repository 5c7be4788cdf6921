"""The access log: one line per request, formatted and written in batches off the request's way.

A request only appends its exchange to a list. Client text is escaped so that every line is valid
JSON (or one line of *combined*) whatever bytes came. If the file cannot take more, lines are
dropped and counted; a request never waits for the log.
"""

from __future__ import annotations

import _socket
import json
import logging
import os
import re
import stat
from collections.abc import Callable
from functools import lru_cache
from socket import MSG_DONTWAIT
from time import gmtime, monotonic, strftime, time
from typing import Literal

from lb.http1.request import NO_HEAD
from lb.proxy.body import InputBody
from lb.proxy.exchange import Exchange
from lb.state.layout import W_LOG_DROPPED

BATCH_LINES = 256
MAX_TEXT_BYTES = 2048
_LOOK_EVERY_S = 1.0
_log = logging.getLogger("lb.access_log")
_is_plain = re.compile(rb"[\x20\x21\x23-\x5b\x5d-\x7e]*").fullmatch


def json_text(raw: bytes) -> str:
    """A JSON string literal of bytes that may be anything; bytes over 127 are read as Latin-1."""
    if len(raw) > MAX_TEXT_BYTES:
        raw = raw[:MAX_TEXT_BYTES]
    if _is_plain(raw):
        return f'"{raw.decode("ascii")}"'
    return json.dumps(raw.decode("latin-1"))


def combined_text(raw: bytes) -> str:
    """As Apache writes it: quotes, backslashes and everything unprintable as ``\\xhh``."""
    raw = raw[:MAX_TEXT_BYTES]
    if _is_plain(raw):
        return raw.decode("ascii")
    return "".join(chr(b) if 0x20 <= b < 0x7F and b not in b'"\\' else f"\\x{b:02x}" for b in raw)


class AccessLogWriter:
    """``path``: a file (appended to), ``-`` for standard output, empty for none."""

    def __init__(self, path: str, style: Literal["json", "combined"], counters: memoryview) -> None:
        self.path = path
        self._pending: list[Exchange] = []
        self._fd = -1
        self._cut = b""
        self._has_complained = False
        self._looked_at = 0.0
        self.configure(path, style, counters)

    def configure(self, path: str, style: Literal["json", "combined"], counters: memoryview) -> None:
        """Writes there and so from now on; what is pending still goes where it was meant to."""
        self.flush()
        is_elsewhere = path != self.path or self._fd < 0
        if is_elsewhere:
            self._close()
        self.path = path
        self._counters = counters
        self._format: Callable[[Exchange, float], str] = _json_line if style == "json" else _combined_line
        self._tells_fields = style == "combined"
        self._is_on = bool(path)
        if is_elsewhere:
            self.open()

    def open(self) -> None:
        """Opens the file again, as after a rotation. A file that cannot be opened is tried again at each flush."""
        if not self.path:
            return
        old, self._fd = self._fd, _standard_output() if self.path == "-" else _opened(self.path)
        self._cut = b""
        if old >= 0:
            os.close(old)
        if self._fd < 0 and not self._has_complained:
            _log.error("access log %s cannot be opened: lines are dropped until it can", self.path)
        self._has_complained = self._fd < 0

    def add(self, exchange: Exchange) -> None:
        """Takes a request that is over, and lets go of what no line tells: its body and its fields, which may be
        128 KiB each, and with ``interim`` its connection."""
        if not self._is_on:
            return
        exchange.interim = None
        body = exchange.body
        if not isinstance(body, InputBody) or body.is_done:  # a WSGI server may still be reading one
            exchange.body = None
        if not self._tells_fields:
            exchange.head.fields = NO_HEAD.fields
        pending = self._pending
        pending.append(exchange)
        if len(pending) >= BATCH_LINES:
            self.flush()

    def flush(self) -> None:
        """Writes what is pending; called by every full batch and twice a second."""
        pending = self._pending
        if not pending:
            return
        self._pending = []
        if self._fd < 0 or self._was_moved():
            self.open()
        offset = time() - monotonic()
        format_line = self._format
        text = "".join([format_line(exchange, offset) for exchange in pending])
        self._write(self._cut + text.encode("latin-1", "replace"))

    def _was_moved(self) -> bool:
        """Whether the file has another name by now, or none: a rotation needs no signal. Looked at once a second."""
        now = monotonic()
        if self.path == "-" or now - self._looked_at < _LOOK_EVERY_S:
            return False
        self._looked_at = now
        try:
            return not os.path.samestat(os.stat(self.path), os.fstat(self._fd))
        except OSError:
            return True

    def _write(self, data: bytes) -> None:
        """A disk that is nearly full takes a part: the line it cuts in two is ended first next time, those
        behind it are dropped."""
        try:
            written = _written(self._fd, data)
        except OSError:
            written = 0
        is_inside_line = data[written - 1 : written] != b"\n" if written else bool(self._cut)
        end = data.find(b"\n", written) + 1 if is_inside_line else written
        self._cut = data[written:end]
        self._counters[W_LOG_DROPPED] += data.count(b"\n", end)

    def close(self) -> None:
        self.flush()
        self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _standard_output() -> int:
    """Opened anew, so that not to wait on it is our affair alone; a socket (under systemd) cannot be, and is shared."""
    fd = _opened("/proc/self/fd/1")
    if fd < 0 and stat.S_ISSOCK(os.fstat(1).st_mode):
        return os.dup(1)
    return fd


def _written(fd: int, data: bytes) -> int:
    """How much the log took without being waited for. OSError if nothing."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return os.write(fd, data)
    sock = _socket.socket(fileno=fd)
    try:
        return sock.send(data, MSG_DONTWAIT)
    finally:
        sock.detach()


def _opened(path: str) -> int:
    """-1 if it cannot be. Never blocks, now or later: a pipe that nobody reads takes no more lines."""
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o640)
    except OSError:
        return -1


class Timestamps:
    """ISO 8601 in UTC with milliseconds; the part down to the second is made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def of(self, wall: float) -> str:
        second = int(wall)
        if second != self._second:
            self._second = second
            self._text = strftime("%Y-%m-%dT%H:%M:%S", gmtime(second))
        return "%s.%03dZ" % (self._text, (wall - second) * 1000)  # noqa: UP031 - twice as fast here


_timestamps = Timestamps()
_JSON_LINE = (
    '{"time":"%s",%s"target":%s,"version":%s,"status":%d,"reason":"%s",%s"attempts":%d,"bytes_in":%d,'
    '"bytes_out":%d,"queue_us":%d,"connect_us":%d,"first_byte_us":%s,"total_us":%d,"request_id":"%s"}\n'
)


@lru_cache(maxsize=4096)
def _who(client: bytes, method: bytes, host: bytes) -> str:
    """The part that repeats over a client's requests."""
    if not method:
        return f'"client":{json_text(client)},"method":null,"host":null,'
    return f'"client":{json_text(client)},"method":"{method.decode("ascii")}","host":{json_text(host)},'


@lru_cache(maxsize=16384)
def _where(route: str, backend: str, policy: str) -> str:
    """The part that repeats over a route's requests."""
    name = json.dumps(route) if route else "null"
    return f'"route":{name},"backend":{json.dumps(backend) if backend else "null"},"policy":"{policy}",'


def _json_line(exchange: Exchange, offset: float) -> str:
    """One line; longer than it needs to be to read, because it is written once per request."""
    head = exchange.head
    started = exchange.started
    member = exchange.member
    first_byte_at = exchange.first_byte_at
    if head is NO_HEAD:
        who, target, version = _who(exchange.caller.address, b"", b""), "null", "null"
    else:
        raw = head.target
        who = _who(exchange.caller.address, head.method, head.authority)
        target = f'"{raw.decode("ascii")}"' if _is_plain(raw) and len(raw) <= MAX_TEXT_BYTES else json_text(raw)
        version = '"1.1"' if head.version_minor else '"1.0"'
    return _JSON_LINE % (
        _timestamps.of(started + offset),
        who,
        target,
        version,
        exchange.status,
        exchange.reason,
        _where(
            exchange.route.route.id if exchange.route is not None else "",
            member.name if member is not None else "",
            exchange.policy,
        ),
        exchange.attempts,
        exchange.bytes_in,
        exchange.bytes_out,
        exchange.queued_s * 1e6,
        exchange.connect_s * 1e6,
        int((first_byte_at - started) * 1e6) if first_byte_at else "null",
        (exchange.ended - started) * 1e6,
        exchange.told_id.decode("ascii"),
    )


@lru_cache(maxsize=16384)
def _word(text: str) -> str:
    """A name as one field of *combined*: no space in it, ``-`` for none."""
    return combined_text(text.encode()).replace(" ", "\\x20") or "-"


def _combined_line(exchange: Exchange, offset: float) -> str:
    """What Apache writes, then what it does not know; readers of the nine fields stop before that."""
    return f"{_combined_fields(exchange, offset)} {_fields_of_ours(exchange)}\n"


def _fields_of_ours(exchange: Exchange) -> str:
    """In the documented order, which programs count on: later ones go to the end."""
    started = exchange.started
    member = exchange.member
    first_byte_at = exchange.first_byte_at
    return " ".join(
        (
            _word(exchange.route.route.id if exchange.route is not None else ""),
            _word(member.name if member is not None else ""),
            str(exchange.attempts or "-"),
            exchange.reason or "-",
            str(int(exchange.connect_s * 1e6) or "-"),
            str(int((first_byte_at - started) * 1e6)) if first_byte_at else "-",
            str(int((exchange.ended - started) * 1e6)),
            exchange.told_id.decode("ascii") or "-",
            str(int(exchange.queued_s * 1e6) or "-"),
        )
    )


def _combined_fields(exchange: Exchange, offset: float) -> str:
    head = exchange.head
    when = strftime("%d/%b/%Y:%H:%M:%S +0000", gmtime(exchange.started + offset))
    client = combined_text(exchange.caller.address) or "-"
    if head is NO_HEAD:
        return f'{client} - - [{when}] "-" {exchange.status} {exchange.bytes_out} "-" "-"'
    line = f"{combined_text(head.method)} {combined_text(head.target)} HTTP/1.{head.version_minor}"
    referer = combined_text(head.fields.value(b"referer")) or "-"
    agent = combined_text(head.fields.value(b"user-agent")) or "-"
    return f'{client} - - [{when}] "{line}" {exchange.status} {exchange.bytes_out} "{referer}" "{agent}"'
