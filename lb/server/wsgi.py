"""The WSGI path: the same core behind any WSGI server (stock gunicorn workers, Werkzeug's test client).

The request is put back into the bytes it came as and judged by the same parser as on the worker
path, so both refuse the same things. What WSGI cannot carry (the case of field names, trailers,
interim answers but 103, upgrades) is listed in docs/architecture.md.

One thread per process is served, by greenlets as many requests as come. Counters, slots and the locks of shared
memory belong to processes: threads would each take a slot for good, and count in each other's way.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from time import monotonic
from typing import Any
from urllib.parse import quote

import gevent
from gevent import monkey
from gevent.lock import RLock
from greenlet import getcurrent
from werkzeug.wsgi import ClosingIterator

from lb.errors import AnswerAborted, ConfigError, LbError, RequestError
from lb.http1.fields import MAX_HEAD_BYTES
from lb.http1.forwarded import Caller, RequestIds, describe
from lb.http1.request import NO_HEAD, RequestFields, RequestHead, parse_request
from lb.model import Config
from lb.proxy.answer import NO_BODY, Answer
from lb.proxy.body import INPUT_PIECE_BYTES, INPUT_PIECE_TIMEOUT_S, InputBody
from lb.proxy.connection import KEPT_HEAD_BYTES
from lb.proxy.core import Core
from lb.proxy.deadlines import Deadline, Expired, Sweeper
from lb.proxy.exchange import Exchange
from lb.proxy.local import phrase
from lb.proxy.routes import wanted_upgrade
from lb.server import deaf_client
from lb.server.deaf_client import DeafClient, shut_down
from lb.server.parting import announce_end, ends_by_field, linger
from lb.server.runtime import Runtime
from lb.state.segment import SegmentError

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
_log = logging.getLogger("lb.wsgi")
_MAX_SEEN = 1024
_ThreadLocal = monkey.get_original("threading", "local")
"""Of threads: what gevent puts in its place is of greenlets."""
MANY_THREADS = (
    "lb.wsgi:app serves in one thread per process: run it under gunicorn -k gevent (or sync), gevent.pywsgi, "
    "or with the server's threads set to one"
)
_joined_cookie = re.compile(r",\s*(?=[!#$%&'*+\-.^_`|~0-9A-Za-z]+=)").sub
"""Where a server has joined Cookie lines by a comma, which RFC 6265 section 5.4 has by a semicolon."""
_NOT_FIELDS = ("HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE")


class Application:
    """One per process, for the thread (hub) that calls it first; others are refused.

    ``snapshot_path`` is asked for at the first request, not before: importing this module starts nothing.
    """

    def __init__(self, snapshot_path: Callable[[], str]) -> None:
        self._snapshot_path = snapshot_path
        self._served: Runtime | None = None
        self._thread = _ThreadLocal()
        """``runtime``: the same, in the thread that it belongs to."""
        self._pid = 0
        self._lock = RLock()
        self._ids = RequestIds()
        self._seen_generation = 0
        self._seen: dict[tuple[bytes, bytes], tuple[RequestFields, Caller]] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            runtime = self._runtime()
        except (ConfigError, SegmentError, OSError) as error:
            _log.error("no configuration in force: %s", error)
            return _out_of_service(start_response, "not_configured", "No configuration in force")
        if self._thread.__dict__.get("runtime") is not runtime:
            _tell_once(MANY_THREADS)
            return _out_of_service(start_response, "many_threads", MANY_THREADS)
        exchange, core, answer = self._answer(environ, runtime)
        exchange.status = answer.status
        return self._respond(environ, start_response, exchange, core, answer)

    def _runtime(self) -> Runtime:
        """This process's runtime, whichever thread asks."""
        runtime = self._served
        if runtime is not None and self._pid == os.getpid():
            return runtime
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._served = None
                self._ids = RequestIds()
            return self._served or self._start_runtime(gevent.get_hub())

    def _start_runtime(self, hub: Any) -> Runtime:
        sweeper = Sweeper(hub)
        runtime = Runtime(self._snapshot_path(), hub, sweeper)
        sweeper.start()
        runtime.start()  # may wait for names; other requests wait for our lock
        runtime.beat()
        self._served = self._thread.runtime = runtime
        gevent.spawn(_beat_forever, runtime)
        return runtime

    def _answer(self, environ: Environ, runtime: Runtime) -> tuple[Exchange, Core, Answer]:
        deadline = Deadline(getcurrent())
        core = runtime.traffic
        peer = str(environ.get("REMOTE_ADDR") or "").encode("latin-1")
        scheme = b"https" if environ.get("wsgi.url_scheme") == "https" else b"http"
        exchange = Exchange(NO_HEAD, Caller(peer, scheme, b"", b"", b"", b""), self._ids.new(), deadline, monotonic())
        runtime.sweeper.deadlines.add(deadline)
        try:
            head = exchange.head = self._head(environ, exchange, runtime)
            if head.has_body:
                length = -1 if head.fields.chunked else head.fields.content_length
                exchange.body = InputBody(environ["wsgi.input"], length)
                exchange.body_timeout_s = INPUT_PIECE_TIMEOUT_S
            route = core.match(exchange)
            if head.fields.upgrade and wanted_upgrade(head, route):
                raise RequestError("upgrade_unsupported")
            if exchange.body is not None:
                limit = route.route.body_limit_bytes
                exchange.body.bound(_body_limit_bytes(runtime.snapshot.config) if limit is None else limit)
            exchange.interim = _early_hints(environ) if head.version_minor else None
            return exchange, core, core.answer(exchange)
        except (LbError, Expired) as error:
            return exchange, core, core.error(exchange, error)
        finally:
            runtime.sweeper.deadlines.discard(deadline)

    def _head(self, environ: Environ, exchange: Exchange, runtime: Runtime) -> RequestHead:
        """The head and who asks; both from memory when this peer repeats its fields."""
        peer, scheme = exchange.caller.address, exchange.caller.scheme
        if self._seen_generation != runtime.snapshot.generation:
            self._seen.clear()
            self._seen_generation = runtime.snapshot.generation
        known = self._seen.get((peer, scheme))
        head = head_of(environ, known[0] if known else None)
        if known is not None and head.fields is known[0] and head.authority is head.fields.host:
            exchange.caller = known[1]
            return head
        exchange.caller = describe(head.fields, head.authority, peer, scheme, runtime.trusted)
        if head.authority is head.fields.host and len(head.fields.block) <= KEPT_HEAD_BYTES:
            if len(self._seen) >= _MAX_SEEN:
                self._seen.clear()
            self._seen[peer, scheme] = head.fields, exchange.caller
        return head

    def _respond(
        self, environ: Environ, start_response: StartResponse, exchange: Exchange, core: Core, answer: Answer
    ) -> Iterable[bytes]:
        is_unfinished = exchange.body is not None and not exchange.body.is_done
        ends = answer.close or exchange.head is NO_HEAD or (is_unfinished and not _is_read_by_the_server(exchange))
        fields = _response_fields(answer)
        if (ends or is_unfinished) and ends_by_field(environ):
            fields.append(("Connection", "close"))
        is_told = (ends or exchange.head.wants_close) and announce_end(start_response)
        try:
            start_response(_status_line(answer), fields)
        except BaseException:
            exchange.status, exchange.reason = 500, "internal_error"
            core.count(exchange)
            _close(exchange, core, answer, environ, lingers=False)
            raise
        core.count(exchange)
        if environ["REQUEST_METHOD"] == "HEAD" or answer.framing == NO_BODY or answer.reader is None:
            sends_body = environ["REQUEST_METHOD"] != "HEAD" and answer.framing != NO_BODY
            exchange.bytes_out = len(answer.first) if sends_body else 0
            if answer.reader is not None:
                answer.reader.abort()
            core.record(exchange)
            pieces = [answer.first] if sends_body else []
            if not ends:
                return pieces
            return ClosingIterator(pieces, [lambda: _settle(exchange, environ, lingers=is_told)])
        sweeper = self._runtime().sweeper
        sweeper.deadlines.add(exchange.deadline)
        deaf = DeafClient(environ.get("gunicorn.socket"), deaf_client.WRITE_S)
        return ClosingIterator(
            _body(exchange, answer, deaf),
            [
                deaf.leave,
                lambda: sweeper.deadlines.discard(exchange.deadline),
                lambda: _close(exchange, core, answer, environ, lingers=ends and is_told),
            ],
        )


def _body_limit_bytes(config: Config) -> int | None:
    """Of the traffic listener, where a route has none of its own. WSGI does not say which of several a request came
    by: then of the one that lets most pass."""
    limits = [listener.body_limit_bytes for listener in config.listeners if listener.kind == "traffic"]
    return max((limit for limit in limits if limit is not None), default=None) if None not in limits else None


def _body(exchange: Exchange, answer: Answer, deaf: DeafClient) -> Iterator[bytes]:
    """The rest of a backend's body; raising out of here is how a WSGI server learns to cut the client off."""
    reader = answer.reader
    assert reader is not None
    exchange.deadline.greenlet = getcurrent()
    try:
        if answer.first:
            exchange.bytes_out += len(answer.first)
            deaf.is_writing = True
            yield answer.first
            deaf.is_writing = False
        while piece := reader.read():
            exchange.bytes_out += len(piece)
            deaf.is_writing = True
            yield piece
            deaf.is_writing = False
    except (AnswerAborted, Expired) as error:
        exchange.reason = "upstream_truncated"
        raise ConnectionResetError(errno.ECONNRESET, str(error)) from None
    except GeneratorExit:
        exchange.reason = "client_gone"
        raise
    finally:
        reader.abort()


@lru_cache(maxsize=1)
def _tell_once(text: str) -> None:
    _log.error("%s", text)


def _out_of_service(start_response: StartResponse, reason: str, text: str) -> Iterable[bytes]:
    """There is nothing to serve by; the log may say more."""
    body = json.dumps({"error": text, "reason": reason}).encode()
    fields = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Retry-After", "5")]
    start_response("503 Service Unavailable", fields)
    return [body]


def _close(exchange: Exchange, core: Core, answer: Answer, environ: Environ, *, lingers: bool) -> None:
    if answer.reader is not None:
        if not answer.reader.is_done and not exchange.reason:
            exchange.reason = "client_gone"
        answer.reader.abort()
    core.record(exchange)
    if not exchange.reason:
        _settle(exchange, environ, lingers=lingers)


def _is_read_by_the_server(exchange: Exchange) -> bool:
    """Nobody reads the rest of this body, and the server does so in no time, to go on with the connection."""
    body, fields = exchange.body, exchange.head.fields
    is_idle = isinstance(body, InputBody) and not body.stream.is_reading
    return is_idle and not fields.chunked and fields.content_length <= INPUT_PIECE_BYTES


def _settle(exchange: Exchange, environ: Environ, *, lingers: bool) -> None:
    """An answer is out whole: the server goes on with this connection, or (``lingers``) ends it, and must be the only one
    who reads from it.

    A client that sends no more would hold it for ever: one that had its time for a piece has no more of it."""
    sock = environ.get("gunicorn.socket")
    is_over = lingers and linger(sock)
    if not isinstance(exchange.body, InputBody) or not exchange.body.stream.is_reading:
        return
    left_s = 0.0 if is_over or exchange.reason == "body_timeout" else exchange.body_timeout_s
    end = gevent.spawn_later(left_s, _end_input, sock)
    try:
        exchange.body.stream.settle()
    finally:
        end.kill(block=False)


def _end_input(sock: Any) -> None:
    """Whoever reads from this connection finds its end, and the server then closes it. Only gunicorn shows us its
    socket."""
    if sock is not None:
        shut_down(sock, socket.SHUT_RD)


@lru_cache(maxsize=1024)
def _field_name(key: str) -> str:
    """``HTTP_X_REQUEST_ID`` as it is usually written; what the client wrote is lost in WSGI."""
    return key[5:].replace("_", "-").title()


def head_of(environ: Environ, known: RequestFields | None = None) -> RequestHead:
    """The request's head, judged as if it had come off a socket. RequestError as ``parse_request``."""
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI") or _quoted_target(environ)
    lines = [f"{environ['REQUEST_METHOD']} {target} {environ.get('SERVER_PROTOCOL', 'HTTP/1.1')}"]
    for key, value in environ.items():
        if key[:5] == "HTTP_" and key not in _NOT_FIELDS:
            lines.append(f"{_field_name(key)}: {_joined_cookie('; ', value) if key == 'HTTP_COOKIE' else value}")
    if environ.get("CONTENT_TYPE"):
        lines.append(f"Content-Type: {environ['CONTENT_TYPE']}")
    if environ.get("CONTENT_LENGTH") and "HTTP_TRANSFER_ENCODING" not in environ:
        lines.append(f"Content-Length: {environ['CONTENT_LENGTH']}")
    lines.append("\r\n")
    head = "\r\n".join(lines).encode("latin-1")
    if len(head) > MAX_HEAD_BYTES:
        raise RequestError("head_too_large")
    return parse_request(head, known)


def _quoted_target(environ: Environ) -> str:
    path = quote(
        environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""), safe="/:@!$&'()*+,;=~-._", encoding="latin-1"
    )
    query = environ.get("QUERY_STRING", "")
    return f"{path or '/'}?{query}" if query else path or "/"


def _response_fields(answer: Answer) -> list[tuple[str, str]]:
    lines = answer.head.decode("latin-1").split("\r\n")[1:-1]
    return [(name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines)]


def _status_line(answer: Answer) -> str:
    """``200 OK``, with a reason phrase even where the backend sent none: WSGI asks for one."""
    said = answer.head[9 : answer.head.index(b"\r\n")].decode("latin-1").rstrip()
    return said if len(said) > 4 else f"{answer.status} {phrase(answer.status) or 'Unknown'}"


def _early_hints(environ: Environ) -> Callable[[bytes], None] | None:
    send = environ.get("wsgi.early_hints")
    if send is None:
        return None

    def pass_on(interim: bytes) -> None:
        if interim[9:12] == b"103":
            lines = interim.decode("latin-1").split("\r\n")[1:-2]
            send([(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)])

    return pass_on


def _beat_forever(runtime: Runtime) -> None:
    while True:
        gevent.sleep(1.0)
        runtime.beat()
