"""Writing an answer to a client: framing of its own, streaming, tunnels, and ends that cannot be misread."""

from __future__ import annotations

from time import monotonic
from typing import Any

from lb.errors import AnswerAborted, RequestError
from lb.http1.chunked import LAST_CHUNK, encode_chunk, encode_trailers
from lb.proxy.answer import UNKNOWN_LENGTH, Answer
from lb.proxy.connection import ClientConnection
from lb.proxy.deadlines import Deadline, Expired, Sweeper
from lb.proxy.exchange import Exchange
from lb.proxy.front import Machine
from lb.proxy.stream import BULK_BYTES, TURN_MASK
from lb.proxy.tunnel import Patience, Tunnel

LINGER_S = 2.0
LINGER_BYTES = 64 * 1024 * 1024


class Replier:
    """One per worker. Raises OSError when the client's connection broke or had to be cut."""

    def __init__(self, hub: Any, sweeper: Sweeper, machine: Machine) -> None:
        self._hub = hub
        self._sweeper = sweeper
        self._machine = machine

    def reply(self, connection: ClientConnection, exchange: Exchange, answer: Answer) -> bool:
        """Writes an answer; whether the connection may carry another request."""
        head = exchange.head
        body = exchange.body
        exchange.deadline.set(self._sweeper.now + connection.entrance.timeouts.write_s, "client_gone")
        if answer.tunnel is not None:
            self._tunnel(connection, exchange, answer)
            return False
        is_unfinished = body is not None and not body.is_done
        keep = not (answer.close or is_unfinished or head.wants_close or self._machine.is_draining)
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
        elif is_unfinished or connection.buffer or connection.is_disarmed:
            _linger(connection, exchange.deadline)
        return keep

    def refuse(self, connection: ClientConnection, exchange: Exchange, answer: Answer) -> None:
        """Answers bytes that were no request; the connection ends with it."""
        exchange.deadline.set(monotonic() + connection.entrance.timeouts.write_s, "client_gone")
        body = b"" if connection.buffer.startswith(b"HEAD ") else answer.first
        connection.send(answer.head + b"Connection: close\r\n\r\n" + body)
        exchange.bytes_out = len(body)
        _linger(connection, exchange.deadline)

    def _relay(
        self, connection: ClientConnection, exchange: Exchange, answer: Answer, out: bytes, *, chunked: bool
    ) -> None:
        """Streams a body whose end has not come yet; a backend that fails now fails visibly."""
        try:
            if chunked:
                self._relay_chunked(connection, exchange, answer, out)
            else:
                self._relay_plain(connection, exchange, answer, out)
        except (AnswerAborted, RequestError, Expired) as error:
            exchange.reason = error.reason
            connection.reset()
            raise ConnectionResetError(error.reason) from error
        except OSError:
            exchange.reason = "client_gone"
            raise
        finally:
            if answer.reader is not None:
                answer.reader.abort()

    def _relay_chunked(self, connection: ClientConnection, exchange: Exchange, answer: Answer, out: bytes) -> None:
        reader = answer.reader
        if answer.first:
            out += encode_chunk(answer.first)
            exchange.bytes_out = len(answer.first)
        while reader is not None and not reader.is_done:
            if out:
                self._send(connection, exchange, out)
            piece = reader.read()
            exchange.bytes_out += len(piece)
            out = encode_chunk(piece)
            piece = b""  # a client that reads slowly would hold both, a quarter of a megabyte each
        trailers = reader.trailers if reader is not None else ()
        self._send(connection, exchange, out + (encode_trailers(trailers) if trailers else LAST_CHUNK))

    def _relay_plain(self, connection: ClientConnection, exchange: Exchange, answer: Answer, out: bytes) -> None:
        reader = answer.reader
        assert reader is not None
        self._send(connection, exchange, out + answer.first)
        exchange.bytes_out = len(answer.first)
        while piece := reader.read():
            self._send(connection, exchange, piece)
            exchange.bytes_out += len(piece)

    def _send(self, connection: ClientConnection, exchange: Exchange, data: bytes) -> None:
        exchange.deadline.set(self._sweeper.now + connection.entrance.timeouts.write_s, "client_gone")
        connection.send(data)

    def _tunnel(self, connection: ClientConnection, exchange: Exchange, answer: Answer) -> None:
        backend = answer.tunnel
        assert backend is not None
        upgrade = b"Connection: Upgrade\r\nUpgrade: %b\r\n\r\n" % exchange.upgrade
        patience = Patience(backend.member.pool.timeouts.tunnel_s, connection.entrance.timeouts.write_s)
        tunnel = Tunnel(connection, backend, patience, self._sweeper, self._hub)
        try:
            connection.send(answer.head + upgrade)
            buffered, connection.buffer = connection.buffer, b""
            tunnel.run(exchange.deadline, buffered, answer.first)
        finally:
            exchange.bytes_in, exchange.bytes_out = tunnel.received, tunnel.sent
            backend.close()


def _linger(connection: ClientConnection, deadline: Deadline) -> None:
    """Ends our side first and reads on for a moment: a close with unread bytes would send a reset that
    could overtake the answer (RFC 9112 section 9.6)."""
    connection.end_writing()
    deadline.set(monotonic() + LINGER_S, "client_gone")
    taken = pieces = 0
    try:
        while taken < LINGER_BYTES and (data := connection.recv(BULK_BYTES)):
            taken += len(data)
            pieces += 1
            if not pieces & TURN_MASK:
                connection.let_others()
    except (OSError, Expired):
        return
