"""Requests on a client's connection: head, routing, body, answer, one after the other.

Knows HTTP/1.1's rules for a connection; what a request means is the core's. ``serve`` runs in a
runner's greenlet. May be longer than the house rule: this is the request path.
"""

from __future__ import annotations

import logging
import re
from time import monotonic

from lb.errors import ClientEnded, LbError, RequestError
from lb.http1.forwarded import Caller, RequestIds, describe
from lb.http1.proxy_protocol import parse as parse_proxy_header
from lb.http1.request import NO_HEAD, RequestHead, find_head_end, parse_request
from lb.proxy.answer import Answer
from lb.proxy.body import WireBody
from lb.proxy.connection import ClientConnection, Entrance
from lb.proxy.core import Core
from lb.proxy.deadlines import NEVER, Deadline, Expired, Sweeper
from lb.proxy.exchange import Exchange
from lb.proxy.front import Machine
from lb.proxy.reply import Replier
from lb.proxy.routes import wanted_upgrade
from lb.proxy.stream import RECV_BYTES, TURN_MASK, TURN_S
from lb.state.layout import W_HEAD_ERRORS, W_HEAD_TIMEOUTS, W_TLS_FAILED, W_UNDERSCORE_DROPPED

_MAX_EMPTY_LINES_BYTES = 16
_SAY_EVERY_S = 1.0
_half_a_method = re.compile(rb"[A-Z]{1,20}").fullmatch
_request_line = re.compile(rb"[A-Z]{3,20} [!-~]").match
"""No TLS hello begins with a letter: its first byte is 22 (RFC 8446 section 5.1), or above 127 (RFC 5246, E.2)."""
_log = logging.getLogger("lb.proxy")


class RequestServer:
    """One per worker."""

    def __init__(self, sweeper: Sweeper, machine: Machine, ids: RequestIds, replier: Replier) -> None:
        self._machine = machine
        self._ids = ids
        self._sweeper = sweeper
        self._replier = replier
        self._tls_said_at = -_SAY_EVERY_S

    def serve(self, connection: ClientConnection, deadline: Deadline) -> bool:
        """Serves until the connection is quiet (True) or must end (False). OSError: it broke."""
        if connection.is_new:
            connection.is_new = False
            if not self._set_up(connection, deadline):
                return False
        served = 0
        turned_at = monotonic()
        while True:
            try:
                head = self._read_head(connection, deadline)
            except BlockingIOError:
                return True
            except RequestError as error:
                return self._refuse(connection, deadline, error)
            except Expired:
                self._machine.worker_cells.counters[W_HEAD_TIMEOUTS] += 1
                return self._refuse(connection, deadline, RequestError("head_timeout"))
            if not self._serve_one(connection, deadline, head):
                return False
            if not connection.buffer and connection.tls is None:  # TLS may have decrypted the next one already
                deadline.at = NEVER
                return True
            served += 1
            if not served & TURN_MASK or (connection.buffer and monotonic() - turned_at >= TURN_S):
                connection.let_others()
                turned_at = monotonic()

    # --- before the first request

    def _set_up(self, connection: ClientConnection, deadline: Deadline) -> bool:
        """PROXY header and TLS handshake, where the listener has them; False: the connection is over."""
        entrance = connection.entrance
        if entrance.proxy_protocol:
            deadline.set(monotonic() + entrance.timeouts.handshake_s, "head_timeout")
            try:
                _read_proxy_header(connection)
            except RequestError as error:
                return self._refuse(connection, deadline, error)
            if not connection.keeper.admit(connection):
                if entrance.tls is None:
                    self._tell(connection, deadline, RequestError("too_many_connections"))
                return False
        if entrance.tls is not None:
            deadline.set(monotonic() + entrance.timeouts.handshake_s, "head_timeout")
            try:
                connection.start_tls(entrance.tls(), received=_read_hello(connection))
            except RequestError as clear_text:
                self._machine.worker_cells.counters[W_TLS_FAILED] += 1
                return self._refuse(connection, deadline, clear_text)
            except (OSError, Expired, ValueError) as failed:
                self._tls_failed(connection, failed)
                return False
        deadline.at = NEVER
        return True

    def _tls_failed(self, connection: ClientConnection, failed: BaseException) -> None:
        """Counted each time, said once a second: whoever sends junk does not fill the disk."""
        self._machine.worker_cells.counters[W_TLS_FAILED] += 1
        now = monotonic()
        if now - self._tls_said_at >= _SAY_EVERY_S:
            self._tls_said_at = now
            _log.info("peer=%s listener=%s tls=%s", connection.peer.decode(), connection.entrance.id, failed)

    # --- a request

    def _read_head(self, connection: ClientConnection, deadline: Deadline) -> RequestHead:
        """The next head. BlockingIOError: nothing has come; ClientEnded: nothing will."""
        buffer = connection.buffer or connection.recv_now(RECV_BYTES)
        if not buffer:
            raise ClientEnded
        try:
            if buffer[:2] == b"\r\n":
                buffer = without_empty_lines(buffer)
            end = find_head_end(buffer) if buffer else 0
            if not end:
                deadline.set(monotonic() + connection.entrance.timeouts.head_s, "head_timeout")
                pieces = 0
                while not end:
                    pieces += 1
                    if not pieces & TURN_MASK:
                        connection.let_others()
                    data = connection.recv(RECV_BYTES)
                    if not data:
                        if not buffer:
                            raise ClientEnded
                        raise RequestError("bad_request", "closed inside a head")
                    seen = len(buffer)
                    buffer = without_empty_lines(buffer + data)
                    end = find_head_end(buffer, seen if len(buffer) > seen else 0) if buffer else 0
                deadline.at = NEVER
            head = parse_request(buffer[:end], connection.fields)
        except (RequestError, Expired):
            connection.buffer = buffer  # its first bytes say how it must be refused
            raise
        connection.buffer = buffer[end:]
        return head

    def _serve_one(self, connection: ClientConnection, deadline: Deadline, head: RequestHead) -> bool:
        """One request, whole; whether the connection may carry another."""
        exchange = Exchange(head, self._caller(connection, head), self._ids.new(), deadline, monotonic())
        connection.is_answering = False
        core = connection.entrance.core()
        answer = self._answer(connection, exchange, core)
        connection.still_there()
        exchange.status = answer.status
        core.count(exchange)
        if exchange.reason == "client_gone":
            self._record(core, exchange)
            return False
        try:
            return self._replier.reply(connection, exchange, answer)
        except (OSError, Expired):
            exchange.reason = exchange.reason or "client_gone"
            raise
        finally:
            self._record(core, exchange)

    def _record(self, core: Core, exchange: Exchange) -> None:
        body = exchange.body
        if body is not None and body.underscores:
            self._machine.worker_cells.counters[W_UNDERSCORE_DROPPED] += body.underscores
        core.record(exchange)

    def _caller(self, connection: ClientConnection, head: RequestHead) -> Caller:
        """Who asks. Worked out anew only when something it depends on differs from the last request."""
        fields = connection.fields = head.fields
        if fields.underscores:
            self._machine.worker_cells.counters[W_UNDERSCORE_DROPPED] += fields.underscores
        trusted = self._machine.trusted
        if (
            trusted is connection.trusted
            and fields.identity is connection.identity
            and head.authority == connection.authority
        ):
            return connection.caller
        connection.trusted = trusted
        connection.identity = fields.identity
        connection.authority = head.authority
        caller = describe(fields, head.authority, connection.peer, connection.entrance.scheme, trusted)
        connection.caller = caller
        return caller

    def _answer(self, connection: ClientConnection, exchange: Exchange, core: Core) -> Answer:
        """The answer to give, whatever happens."""
        head = exchange.head
        fields = head.fields
        try:
            if head.has_body:
                _take_body(connection, exchange)
            route = core.match(exchange)
            if exchange.body is not None:
                limit = route.route.body_limit_bytes
                exchange.body.bound(connection.entrance.body_limit_bytes if limit is None else limit)
            if fields.upgrade:
                exchange.upgrade = wanted_upgrade(head, route)
            if head.version_minor:
                exchange.interim = connection.send
            return core.answer(exchange)
        except (LbError, Expired) as error:
            return core.error(exchange, error)
        except OSError as broken:
            return core.error(exchange, RequestError("client_gone", str(broken)))
        except Exception:  # noqa: BLE001 - the client is told, the log has the rest
            _log.exception("request_id=%s", exchange.request_id.decode())
            return core.error(exchange, LbError("internal_error"))

    def _refuse(self, connection: ClientConnection, deadline: Deadline, error: RequestError) -> bool:
        """Answers what could not be read as a request, and ends the connection."""
        self._machine.worker_cells.counters[W_HEAD_ERRORS] += 1
        self._tell(connection, deadline, error)
        return False

    def _tell(self, connection: ClientConnection, deadline: Deadline, error: RequestError) -> None:
        core = connection.entrance.core()
        exchange, answer = self._refusal(core, connection.peer, connection.entrance, deadline, error)
        try:
            self._replier.refuse(connection, exchange, answer)
        finally:
            core.record(exchange)

    def turn_away(self, peer: bytes, entrance: Entrance) -> bytes:
        """All that one hears who has too many connections already; it is logged, whatever was to be asked."""
        core = entrance.core()
        error = RequestError("too_many_connections")
        exchange, answer = self._refusal(core, peer, entrance, Deadline(None), error)
        exchange.bytes_out = len(answer.first)
        core.record(exchange)
        return answer.head + b"Connection: close\r\n\r\n" + answer.first

    def _refusal(
        self, core: Core, peer: bytes, entrance: Entrance, deadline: Deadline, error: RequestError
    ) -> tuple[Exchange, Answer]:
        """What is said and counted where there is no request to speak of."""
        caller = Caller(peer, entrance.scheme, b"", b"", b"", b"")
        exchange = Exchange(NO_HEAD, caller, self._ids.new(), deadline, monotonic())
        answer = core.error(exchange, error)
        exchange.status = answer.status
        core.count(exchange)
        return exchange, answer


def _take_body(connection: ClientConnection, exchange: Exchange) -> None:
    """Before routing: whatever the answer will be, a body's bytes are never the next request."""
    buffered, connection.buffer = connection.buffer, b""
    exchange.body_timeout_s = connection.entrance.timeouts.body_s
    exchange.body = WireBody(connection, exchange.head.fields)
    exchange.body.start(buffered)


def _read_proxy_header(connection: ClientConnection) -> None:
    """Takes the header off; what came behind it belongs to TLS or to the first request."""
    buffer = connection.recv(RECV_BYTES)
    while (parsed := parse_proxy_header(buffer)) is None:
        data = connection.recv(RECV_BYTES)
        if not data:
            raise ClientEnded("inside the PROXY header")
        buffer += data
    source, size = parsed
    connection.buffer = buffer[size:]
    if not source.is_local:
        connection.peer = source.address


def _read_hello(connection: ClientConnection) -> bytes:
    """The first encrypted bytes; RequestError if they are a request in clear text."""
    first, connection.buffer = connection.buffer or connection.recv(RECV_BYTES), b""
    while _half_a_method(first) and (data := connection.recv(RECV_BYTES)):
        first += data
    if _request_line(first):
        raise RequestError("not_tls")
    return first


def without_empty_lines(buffer: bytes) -> bytes:
    """Empty lines before a request line are skipped (RFC 9112 section 2.2), a few of them."""
    skipped = 0
    while buffer[skipped : skipped + 2] == b"\r\n":
        skipped += 2
    if skipped > _MAX_EMPTY_LINES_BYTES:
        raise RequestError("bad_request", "empty lines")
    return buffer[skipped:]
