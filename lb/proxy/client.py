"""A client's connection and the loop that serves requests on it: the worker path's edge.

A connection that waits for its next request is *parked*: a bare watcher, no greenlet. Its first
byte takes a runner greenlet from the idle ones; the runner serves until the connection is quiet
again. Knows HTTP/1.1 connection rules; what a request means is the core's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from greenlet import greenlet

from lb.errors import AnswerAborted, LbError, RequestError
from lb.http1.chunked import LAST_CHUNK, encode_chunk, encode_trailers
from lb.http1.forwarded import Caller, RequestIds, TrustedProxies, describe
from lb.http1.proxy_protocol import parse as parse_proxy_header
from lb.http1.request import RequestFields, RequestHead, find_head_end, parse_request
from lb.model import ListenerTimeouts
from lb.proxy.answer import UNKNOWN_LENGTH, Answer, BodyReader
from lb.proxy.body import WireBody
from lb.proxy.cells import Cells
from lb.proxy.core import Core
from lb.proxy.deadlines import NEVER, Deadline, Expired, Sweeper
from lb.proxy.exchange import Exchange
from lb.proxy.routes import LiveRoute
from lb.proxy.stream import RECV_BYTES, Stream
from lb.proxy.tls import TlsMixin
from lb.proxy.tunnel import Tunnel
from lb.state.layout import W_ACCEPTED, W_CLOSED, W_HEAD_ERRORS, W_HEAD_TIMEOUTS, W_TLS_FAILED, W_UNDERSCORE_DROPPED

MAX_IDLE_RUNNERS = 256
LINGER_S = 2.0
LINGER_BYTES = 64 * 1024 * 1024
NOBODY = Caller(b"", b"http", b"", b"", b"", b"")
_log = logging.getLogger("lb.proxy")


@dataclass(frozen=True)
class Entrance:
    """What a listener means to a connection that came in through it. ``tls`` gives the context of the day."""

    id: str
    core: Callable[[], Core]
    scheme: bytes
    timeouts: ListenerTimeouts
    body_limit_bytes: int | None
    proxy_protocol: bool
    tls: Callable[[], Any] | None


class ClientConnection(Stream):
    """``buffer``: bytes read but not used yet. ``fields``, ``caller``: of the last request, to be reused
    when the next one repeats them (keep-alive clients mostly do)."""

    __slots__ = (
        "buffer",
        "caller",
        "entrance",
        "expires",
        "fields",
        "front",
        "gone",
        "is_new",
        "is_parked",
        "peer",
        "runner",
    )

    def __init__(self, sock: Any, front: Front, peer: bytes, entrance: Entrance) -> None:
        super().__init__(sock, front.hub)
        self.front = front
        self.peer = peer
        self.entrance = entrance
        self.buffer = b""
        self.fields: RequestFields | None = None
        self.caller: Caller | None = None
        self.is_new = True
        self.is_parked = False
        self.expires = NEVER
        self.gone: Deadline | None = None
        self.runner: Runner | None = None

    def on_unexpected(self) -> None:
        """Parked: the next request begins. Serving: more than we asked for; if that is the client's
        end, it counts as gone a little later, unless the answer begins before."""
        if self.is_parked:
            self.front.wake(self)
            return
        self.disarm()
        if self.runner is not None and self.gone is None and self.peek_closed():
            self.gone = Deadline(self.runner.greenlet)
            self.gone.set(monotonic() + self.entrance.timeouts.half_close_s, "client_gone")
            self.front.sweeper.deadlines.add(self.gone)

    def still_there(self) -> None:
        """The answer begins: a client that has only closed its sending side gets it."""
        if self.gone is not None:
            self.front.sweeper.deadlines.discard(self.gone)
            self.gone = None


class TlsClientConnection(TlsMixin, ClientConnection):
    __slots__ = ()


class Runner(Deadline):
    """A greenlet that serves one connection after another, with its one deadline."""

    __slots__ = ("connection",)

    def __init__(self, front: Front) -> None:
        super().__init__(greenlet(front.run, front.hub))
        self.connection: ClientConnection | None = None


class Machine(Protocol):
    """What the composition root tells: replaced values, so they are asked for each time."""

    trusted: TrustedProxies
    worker_cells: Cells


class Front:
    """All client connections of one worker. Everything here runs on its hub."""

    def __init__(self, hub: Any, sweeper: Sweeper, ids: RequestIds, machine: Machine) -> None:
        self.hub = hub
        self.sweeper = sweeper
        self.machine = machine
        self.is_draining = False
        self.open: set[ClientConnection] = set()
        self._ids = ids
        self._idle: list[Runner] = []
        self._parked: dict[ClientConnection, None] = {}
        sweeper.every_sweep(self._close_expired)

    # --- connections and runners

    def accept(self, sock: Any, peer: bytes, entrance: Entrance) -> None:
        """Takes a connection over. Its first byte may be long in coming: it is parked at once."""
        kind = TlsClientConnection if entrance.tls is not None else ClientConnection
        connection = kind(sock, self, peer, entrance)
        self.open.add(connection)
        self.machine.worker_cells.counters[W_ACCEPTED] += 1
        self._count_open()
        self.park(connection)

    def park(self, connection: ClientConnection) -> None:
        timeouts = connection.entrance.timeouts
        connection.runner = None
        connection.is_parked = True
        connection.expires = self.sweeper.now + (5.0 if self.is_draining else timeouts.keep_alive_s)
        self._parked[connection] = None
        connection.arm()

    def wake(self, connection: ClientConnection) -> None:
        """On the hub: a parked connection can be read."""
        connection.is_parked = False
        del self._parked[connection]
        if self._idle:
            runner = self._idle.pop()
        else:
            runner = Runner(self)
            self.sweeper.deadlines.add(runner)
        runner.connection = connection
        connection.runner = runner
        assert runner.greenlet is not None
        runner.greenlet.switch(runner)

    def run(self, runner: Runner) -> None:
        """A runner's life: serve, wait among the idle ones, serve again."""
        while True:
            connection = runner.connection
            assert connection is not None
            try:
                self._serve(connection, runner)
            except (OSError, Expired):
                self.close(connection)
            except Exception:  # noqa: BLE001 - the outer edge: one connection's failure is not the worker's
                _log.exception("peer=%s listener=%s", connection.peer.decode(), connection.entrance.id)
                self.close(connection)
            runner.at = NEVER
            runner.connection = None
            if len(self._idle) >= MAX_IDLE_RUNNERS:
                self.sweeper.deadlines.discard(runner)
                return
            self._idle.append(runner)
            self.hub.switch()

    def close(self, connection: ClientConnection) -> None:
        if connection in self.open:
            self.open.discard(connection)
            self._parked.pop(connection, None)
            connection.still_there()
            connection.close()
            self.machine.worker_cells.counters[W_CLOSED] += 1
            self._count_open()

    def _count_open(self) -> None:
        cells = self.machine.worker_cells
        cells.inflight[cells.slot] = len(self.open)

    def _close_expired(self, now: float) -> None:
        """Parked connections stand in the order of their expiry while timeouts are alike; those with
        a longer one are looked at again when they come to the front."""
        while self._parked:
            connection = next(iter(self._parked))
            if connection.expires > now:
                return
            self.close(connection)

    def drain(self, idle_s: float) -> None:
        """From now on each connection serves at most one more request, if that comes in time."""
        self.is_draining = True
        until = monotonic() + idle_s
        for connection in self._parked:
            connection.expires = min(connection.expires, until)

    # --- requests

    def _serve(self, connection: ClientConnection, deadline: Runner) -> None:
        if connection.is_new:
            connection.is_new = False
            if not self._set_up(connection, deadline):
                return
        while self._serve_one(connection, deadline):
            if not connection.buffer:
                deadline.at = NEVER
                self.park(connection)
                return
        self.close(connection)

    def _set_up(self, connection: ClientConnection, deadline: Runner) -> bool:
        """PROXY header and TLS handshake, where the listener has them; False: the connection is over."""
        entrance = connection.entrance
        if entrance.proxy_protocol:
            deadline.set(monotonic() + entrance.timeouts.head_s, "head_timeout")
            self._read_proxy_header(connection)
        if entrance.tls is not None:
            assert isinstance(connection, TlsClientConnection)
            deadline.set(monotonic() + entrance.timeouts.handshake_s, "head_timeout")
            try:
                connection.start_tls(entrance.tls())
            except (OSError, Expired, ValueError) as error:
                self.machine.worker_cells.counters[W_TLS_FAILED] += 1
                _log.info("peer=%s listener=%s tls=%s", connection.peer.decode(), entrance.id, error)
                self.close(connection)
                return False
        return True

    def _read_proxy_header(self, connection: ClientConnection) -> None:
        """Reads exactly the header: what follows belongs to TLS or to the first request."""
        sock = connection.sock
        while True:
            connection.wait_readable()
            seen = sock.recv(4096 + 16, 2)  # MSG_PEEK
            if not seen:
                raise ConnectionResetError("closed inside the PROXY header")
            try:
                parsed = parse_proxy_header(seen)
            except RequestError as error:
                self.machine.worker_cells.counters[W_HEAD_ERRORS] += 1
                raise ConnectionResetError(str(error)) from error
            if parsed is not None:
                source, size = parsed
                sock.recv(size)
                if not source.is_local:
                    connection.peer = source.address
                return
            connection.front.hub.loop.update_now()

    def _serve_one(self, connection: ClientConnection, deadline: Runner) -> bool:
        """One request, whole; whether the connection may carry another."""
        try:
            head = self._read_head(connection, deadline)
        except RequestError as error:
            return self._refuse(connection, deadline, error)
        except Expired:
            self.machine.worker_cells.counters[W_HEAD_TIMEOUTS] += 1
            return self._refuse(connection, deadline, RequestError("head_timeout"))
        if head is None:
            return bool(connection.expires)
        fields = head.fields
        entrance = connection.entrance
        caller = connection.caller
        if fields is not connection.fields or caller is None or head.authority is not fields.host:
            connection.fields = fields
            caller = connection.caller = describe(
                fields, head.authority, connection.peer, entrance.scheme, self.machine.trusted
            )
            if fields.underscores:
                self.machine.worker_cells.counters[W_UNDERSCORE_DROPPED] += fields.underscores
        exchange = Exchange(head, caller, self._ids.new(), deadline, monotonic())
        core = entrance.core()
        try:
            route = exchange.route = core.route(head)
            if fields.chunked or fields.content_length > 0:
                self._take_body(connection, exchange, route)
            if fields.upgrade:
                exchange.upgrade = wanted_upgrade(head, route)
            if head.version_minor:
                exchange.interim = connection.send
            answer = core.answer(exchange)
        except LbError as error:
            answer = core.error(exchange, error)
        except Expired as error:
            answer = core.error(exchange, error)
        except OSError as error:
            answer = core.error(exchange, RequestError("client_gone", str(error)))
        except Exception:  # noqa: BLE001 - the client is told, the log has the rest
            _log.exception("request_id=%s", exchange.request_id.decode())
            answer = core.error(exchange, LbError("internal_error"))
        if connection.gone is not None:
            connection.still_there()
        exchange.status = answer.status
        if exchange.reason == "client_gone":
            core.record(exchange)
            return False
        try:
            return self._reply(connection, exchange, answer)
        finally:
            core.record(exchange)

    def _read_head(self, connection: ClientConnection, deadline: Runner) -> RequestHead | None:
        """The next head; None if the connection ended, or had nothing to say after all."""
        buffer = connection.buffer
        if not buffer:
            try:
                buffer = connection.recv_now(RECV_BYTES)
            except BlockingIOError:
                connection.expires = NEVER
                return None
            if not buffer:
                connection.expires = 0.0
                return None
        if buffer[:2] == b"\r\n":
            buffer = without_empty_lines(buffer)
        end = find_head_end(buffer) if buffer else 0
        if not end:
            deadline.set(monotonic() + connection.entrance.timeouts.head_s, "head_timeout")
            while not end:
                data = connection.recv(RECV_BYTES)
                if not data:
                    if buffer:
                        raise RequestError("bad_request", "closed inside a head")
                    connection.expires = 0.0
                    return None
                buffer = without_empty_lines(buffer + data)
                end = find_head_end(buffer) if buffer else 0
            deadline.at = NEVER
        connection.buffer = buffer[end:]
        return parse_request(buffer[:end], connection.fields)

    def _take_body(self, connection: ClientConnection, exchange: Exchange, route: LiveRoute) -> None:
        limit = route.route.body_limit_bytes
        if limit is None:
            limit = connection.entrance.body_limit_bytes
        buffered = connection.buffer
        connection.buffer = b""
        exchange.body_timeout_s = connection.entrance.timeouts.body_s
        exchange.body = WireBody(connection, exchange.head.fields, buffered, limit)

    def _refuse(self, connection: ClientConnection, deadline: Runner, error: RequestError) -> bool:
        """Answers a head that could not be read, and ends the connection."""
        self.machine.worker_cells.counters[W_HEAD_ERRORS] += 1
        caller = Caller(connection.peer, connection.entrance.scheme, b"", b"", b"", b"")
        exchange = Exchange(None, caller, self._ids.new(), deadline, monotonic())
        core = connection.entrance.core()
        answer = core.error(exchange, error)
        exchange.status = answer.status
        try:
            deadline.set(monotonic() + connection.entrance.timeouts.write_s, "client_gone")
            connection.send(answer.head + b"Connection: close\r\n\r\n" + answer.first)
            exchange.bytes_out = len(answer.first)
            self._linger(connection, deadline)
        finally:
            core.record(exchange)
        return False

    # --- answers

    def _reply(self, connection: ClientConnection, exchange: Exchange, answer: Answer) -> bool:
        """Writes an answer; whether the connection may carry another request."""
        head = exchange.head
        body = exchange.body
        deadline = exchange.deadline
        deadline.set(self.sweeper.now + connection.entrance.timeouts.write_s, "client_gone")
        if answer.tunnel is not None:
            self._tunnel(connection, exchange, answer)
            return False
        is_unfinished = body is not None and not body.is_done
        keep = not (answer.close or is_unfinished or self.is_draining or head.wants_close)
        out = answer.head
        chunked = False
        if answer.framing == UNKNOWN_LENGTH:
            if head.version_minor:
                out += b"Transfer-Encoding: chunked\r\n"
                chunked = True
            else:
                keep = False
        if not keep:
            out += b"Connection: close\r\n"
        elif not head.version_minor:
            out += b"Connection: keep-alive\r\n"
        if head.method == b"HEAD":
            connection.send(out + b"\r\n")
        elif answer.reader is None and not chunked:
            exchange.bytes_out = len(answer.first)
            connection.send(out + b"\r\n" + answer.first)
        else:
            self._relay(connection, exchange, answer, out + b"\r\n", chunked=chunked)
        if keep:
            if body is not None:
                connection.buffer = body.rest
        elif is_unfinished or connection.buffer or not connection._armed:
            self._linger(connection, deadline)
        return keep

    def _relay(
        self, connection: ClientConnection, exchange: Exchange, answer: Answer, out: bytes, *, chunked: bool
    ) -> None:
        """Streams a body whose end has not come yet; a backend that fails now fails visibly."""
        reader = answer.reader
        try:
            if chunked:
                self._relay_chunked(connection, exchange, answer, out)
            else:
                assert reader is not None
                self._relay_plain(connection, exchange, reader, out + answer.first, len(answer.first))
        except (AnswerAborted, Expired) as error:
            exchange.reason = error.reason
            if reader is not None:
                reader.abort()
            exchange.release()
            connection.reset()
            raise ConnectionResetError(error.reason) from error
        except OSError:
            exchange.reason = "client_gone"
            raise
        finally:
            if reader is not None:
                reader.abort()

    def _relay_chunked(self, connection: ClientConnection, exchange: Exchange, answer: Answer, out: bytes) -> None:
        reader = answer.reader
        piece = answer.first
        if piece:
            out += encode_chunk(piece)
            exchange.bytes_out = len(piece)
        while reader is not None and not reader.is_done:
            self._send(connection, exchange, out)
            piece = reader.read()
            out = encode_chunk(piece) if piece else b""
            exchange.bytes_out += len(piece)
        trailers = reader.trailers if reader is not None else ()
        self._send(connection, exchange, out + (encode_trailers(trailers) if trailers else LAST_CHUNK))

    def _relay_plain(
        self, connection: ClientConnection, exchange: Exchange, reader: BodyReader, out: bytes, counted: int
    ) -> None:
        exchange.bytes_out = counted
        self._send(connection, exchange, out)
        while piece := reader.read():
            self._send(connection, exchange, piece)
            exchange.bytes_out += len(piece)

    def _send(self, connection: ClientConnection, exchange: Exchange, data: bytes) -> None:
        exchange.deadline.set(self.sweeper.now + connection.entrance.timeouts.write_s, "client_gone")
        connection.send(data)

    def _tunnel(self, connection: ClientConnection, exchange: Exchange, answer: Answer) -> None:
        backend = answer.tunnel
        assert backend is not None
        upgrade = b"Connection: Upgrade\r\nUpgrade: %b\r\n\r\n" % exchange.upgrade
        tunnel = Tunnel(connection, backend, backend.member.pool.timeouts.tunnel_s, self.sweeper, self.hub)
        try:
            connection.send(answer.head + upgrade)
            buffered, connection.buffer = connection.buffer, b""
            tunnel.run(exchange.deadline, buffered, answer.first)
        finally:
            exchange.bytes_in, exchange.bytes_out = tunnel.received, tunnel.sent
            backend.close()

    def _linger(self, connection: ClientConnection, deadline: Deadline) -> None:
        """Ends our side first and reads on for a moment: a close with unread bytes would send a reset
        that could overtake the answer (RFC 9112 section 9.6)."""
        connection.end_writing()
        deadline.set(monotonic() + LINGER_S, "client_gone")
        taken = 0
        try:
            while taken < LINGER_BYTES and (data := connection.recv(256 * 1024)):
                taken += len(data)
        except (OSError, Expired):
            return


def without_empty_lines(buffer: bytes) -> bytes:
    """Empty lines before a request line are skipped (RFC 9112 section 2.2), a few of them."""
    skipped = 0
    while buffer[skipped : skipped + 2] == b"\r\n":
        skipped += 2
    if skipped > 16:
        raise RequestError("bad_request", "empty lines")
    return buffer[skipped:]


def wanted_upgrade(head: RequestHead, route: LiveRoute) -> bytes:
    """The protocol to ask the backend for: one the route allows, properly asked for; else nothing."""
    wanted = head.fields.upgrade
    if wanted not in route.upgrades or not head.version_minor or head.has_body or head.method != b"GET":
        return b""
    if wanted == b"websocket" and (
        head.fields.value(b"sec-websocket-version") != b"13" or not head.fields.value(b"sec-websocket-key")
    ):
        return b""
    return wanted
