"""A final answer: its head as we send it, and a reader for what of its body has not come yet.

Local answers and backends' answers look the same to whoever writes them to a client.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.errors import AnswerAborted
from lb.http1.chunked import ChunkedDecoder, ChunkError
from lb.proxy.deadlines import NEVER
from lb.proxy.stream import BULK_BYTES, TURN_MASK, TURN_S

if TYPE_CHECKING:
    from lb.proxy.exchange import Exchange
    from lb.proxy.member import BackendConnection

NO_BODY: Final = 0
LENGTH: Final = 1
UNKNOWN_LENGTH: Final = 2


class Answer:
    """``head``: status line and fields, each with CRLF, without Connection, Transfer-Encoding and the
    empty line; with Content-Length if ``framing`` is LENGTH. ``first``: the body's bytes that are here;
    all of them when ``reader`` is None. ``close``: the client's connection must end after it.
    """

    __slots__ = ("close", "first", "framing", "head", "reader", "status", "tunnel")

    def __init__(self, status: int, head: bytes, framing: int, first: bytes, reader: BodyReader | None = None) -> None:
        self.status = status
        self.head = head
        self.framing = framing
        self.first = first
        self.reader = reader
        self.close = False
        self.tunnel: BackendConnection | None = None

    def __repr__(self) -> str:
        return f"<Answer {self.head.partition(bytes((13,)))[0]!r} {'more to come' if self.reader else 'complete'}>"


class BodyReader(ABC):
    """The rest of a backend's body. ``read`` gives decoded pieces, ``b""`` at the end, and raises
    AnswerAborted (``upstream_truncated``) if the backend does not finish it.

    The connection goes back to its member only after an exact end.
    """

    __slots__ = ("_pieces", "_turned_at", "connection", "exchange", "is_done", "reusable", "trailers")

    def __init__(self, connection: BackendConnection, exchange: Exchange, *, reusable: bool) -> None:
        self.connection = connection
        self.exchange = exchange
        self.reusable = reusable
        self.is_done = False
        self._pieces = 0
        self._turned_at = monotonic()
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()

    @abstractmethod
    def read(self) -> bytes:
        """The next decoded piece; ``b""`` at the end, which has then been dealt with."""

    def _recv(self) -> bytes:
        exchange = self.exchange
        member = self.connection.member
        now = monotonic()
        exchange.deadline.set(now + member.pool.timeouts.idle_s, "upstream_truncated")
        self._pieces += 1
        try:
            if not self._pieces & TURN_MASK or now - self._turned_at >= TURN_S:
                self.connection.let_others()
                self._turned_at = monotonic()
            if exchange.upload is not None:
                return exchange.upload.recv()
            return self.connection.recv(BULK_BYTES)
        except OSError as error:
            raise AnswerAborted("upstream_truncated", str(error)) from error
        finally:
            exchange.deadline.at = NEVER

    def finish(self) -> None:
        """The body was read to its end."""
        self.is_done = True
        connection = self.connection
        if self.reusable:
            connection.member.give_back(connection, monotonic())
        else:
            connection.close()

    def abort(self) -> None:
        """Whatever is left is not wanted any more."""
        if not self.is_done:
            self.is_done = True
            self.connection.close()


class LengthReader(BodyReader):
    """``remaining`` bytes of a Content-Length body are still to come."""

    __slots__ = ("remaining",)

    def __init__(self, connection: BackendConnection, exchange: Exchange, remaining: int, *, reusable: bool) -> None:
        super().__init__(connection, exchange, reusable=reusable)
        self.remaining = remaining

    def read(self) -> bytes:
        if not self.remaining:
            if not self.is_done:
                self.finish()
            return b""
        data = self._recv()
        if not data:
            raise AnswerAborted("upstream_truncated", f"{self.remaining} bytes short")
        if len(data) > self.remaining:
            data = data[: self.remaining]
            self.reusable = False
        self.remaining -= len(data)
        return data


class ChunkedReader(BodyReader):
    """A chunked body; its trailers are known after the end."""

    __slots__ = ("_decoder", "_first")

    def __init__(self, connection: BackendConnection, exchange: Exchange, first: bytes, *, reusable: bool) -> None:
        super().__init__(connection, exchange, reusable=reusable)
        self._decoder = ChunkedDecoder(for_request=False)
        self._first = first

    def start(self) -> bytes:
        """What the bytes that came with the head decode to; finishes at once if that is all."""
        payload = self._feed(self._first) if self._first else b""
        self._first = b""
        return payload

    def read(self) -> bytes:
        while not self.is_done:
            data = self._recv()
            if not data:
                raise AnswerAborted("upstream_truncated", "inside a chunked body")
            payload = self._feed(data)
            if payload:
                return payload
        return b""

    def _feed(self, data: bytes) -> bytes:
        decoder = self._decoder
        try:
            payload = decoder.feed(data)
        except ChunkError as error:
            raise AnswerAborted("upstream_truncated", error.detail) from error
        if decoder.done:
            self.trailers = tuple(decoder.trailers)
            if decoder.unused:
                self.reusable = False
            self.finish()
        return payload


class CloseReader(BodyReader):
    """A body that ends with the connection (RFC 9112 section 6.3, rule 8)."""

    __slots__ = ()

    def read(self) -> bytes:
        data = b"" if self.is_done else self._recv()
        if not data and not self.is_done:
            tls = self.connection.tls
            if tls is not None and tls.was_cut:
                raise AnswerAborted("upstream_truncated", "TLS ended without close_notify")
            self.finish()
        return data
