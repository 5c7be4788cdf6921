"""A request's body on its way to a backend: read strictly, framed anew, never whole in memory.

``WireBody`` reads a client's socket; ``InputBody`` (the WSGI path) reads ``wsgi.input``. Both give
wire bytes for the backend. A body that fits the first read is kept, so that it can be sent again.
"""

from __future__ import annotations

from typing import Any, Protocol

from lb.errors import RequestError
from lb.http1.chunked import LAST_CHUNK, ChunkedDecoder, ChunkError, encode_chunk, encode_trailers
from lb.http1.request import RequestFields
from lb.proxy.input_stream import InputStream
from lb.proxy.stream import Readable

REPLAY_BYTES = 64 * 1024
PIECE_BYTES = 128 * 1024
INPUT_PIECE_BYTES = 64 * 1024
INPUT_PIECE_TIMEOUT_S = 60.0
"""How long a WSGI server may take for one piece: about as slow as ``MIN_RATE_BYTES`` lets a client be."""
MIN_RATE_WINDOW_S = 10.0
MIN_RATE_BYTES = 10 * 1024
"""A client that sends less than this per window of waiting is cut off (R.U.D.Y., 1 KB/s over 10 s)."""


class RequestBody(Protocol):
    """``stream``: what to wait on while ``read`` has nothing. ``underscores``: trailers that were dropped for one."""

    is_done: bool
    is_replayable: bool
    expects_continue: bool
    received: int
    rest: bytes
    underscores: int

    @property
    def stream(self) -> Readable: ...
    @property
    def sent_bytes(self) -> int: ...
    def bound(self, limit: int | None) -> None: ...
    def take(self) -> bytes: ...
    def read(self) -> bool: ...
    def replay(self) -> None: ...
    def framing(self) -> bytes: ...
    def waited(self, seconds: float) -> None: ...


class Sendable:
    """Wire bytes that wait to be sent, and those that were: kept while they are few, to be sent again."""

    def __init__(self) -> None:
        self.is_replayable = True
        self.underscores = 0
        self._ready = b""
        self._sent = b""

    @property
    def sent_bytes(self) -> int:
        """How much has been taken since the beginning, or the last ``replay`` (only while ``is_replayable``)."""
        return len(self._sent)

    def take(self) -> bytes:
        """Wire bytes to send now (perhaps none); remembers them while the body can still be replayed."""
        ready = self._ready
        self._ready = b""
        if self.is_replayable:
            if len(self._sent) + len(ready) <= REPLAY_BYTES:
                self._sent = self._sent + ready if self._sent else ready
            else:
                self.is_replayable = False
                self._sent = b""
        return ready

    def replay(self) -> None:
        """The next ``take`` starts from the beginning again (only while ``is_replayable``)."""
        self._ready = self._sent + self._ready
        self._sent = b""


class WireBody(Sendable):
    """Content-Length or chunked, from what came with the head and then from the socket.

    Raises RequestError: ``bad_chunk``, ``body_truncated``, ``body_timeout``, ``body_too_large``,
    ``head_too_large`` (trailers). ``rest`` is what came behind the body: the next request.
    """

    def __init__(self, stream: Readable, fields: RequestFields) -> None:
        super().__init__()
        self.stream = stream
        self.received = 0
        self.is_done = False
        self.rest = b""
        self.expects_continue = fields.expect_continue
        self._limit: int | None = None
        self._remaining = fields.content_length
        self._decoder = ChunkedDecoder() if fields.chunked else None
        self._waited_s = 0.0
        self._window_bytes = 0

    def start(self, buffered: bytes) -> None:
        """Takes what came with the head."""
        if buffered:
            self._accept(buffered)

    def bound(self, limit: int | None) -> None:
        """From now on more than ``limit`` bytes are ``body_too_large``, and so is a Content-Length that says so."""
        self._limit = limit
        total = self.received if self._decoder is not None else self._remaining_total()
        if limit is not None and total > limit:
            raise RequestError("body_too_large")

    def framing(self) -> bytes:
        return (
            b"Transfer-Encoding: chunked\r\n" if self._decoder else b"Content-Length: %d\r\n" % self._remaining_total()
        )

    def _remaining_total(self) -> int:
        return self._remaining + self.received

    def _accept(self, data: bytes) -> None:
        if self._decoder is not None:
            self._accept_chunked(data)
            return
        if len(data) > self._remaining:
            self.rest = data[self._remaining :]
            data = data[: self._remaining]
        self._remaining -= len(data)
        self.received += len(data)
        self._ready = self._ready + data if self._ready else data
        self.is_done = not self._remaining

    def _accept_chunked(self, data: bytes) -> None:
        decoder = self._decoder
        assert decoder is not None
        try:
            payload = decoder.feed(data)
        except ChunkError as error:
            raise RequestError("head_too_large" if error.too_large else "bad_chunk", error.detail) from error
        self.received += len(payload)
        if self._limit is not None and self.received > self._limit:
            raise RequestError("body_too_large")
        if payload:
            self._ready += encode_chunk(payload)
        if decoder.done:
            self.is_done = True
            self.rest = decoder.unused
            self.underscores = decoder.underscores
            self._ready += encode_trailers(decoder.trailers) if decoder.trailers else LAST_CHUNK

    def read(self) -> bool:
        """Reads what the socket has; False if it has nothing now."""
        try:
            data = self.stream.recv_now(PIECE_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            raise RequestError("client_gone", str(error)) from error
        if not data:
            raise RequestError("body_truncated", f"after {self.received} bytes")
        self._window_bytes += len(data)
        self._accept(data)
        return True

    def waited(self, seconds: float) -> None:
        """Counts time that only the client is to blame for; too slow on the whole is ``body_timeout``."""
        self._waited_s += seconds
        if self._waited_s >= MIN_RATE_WINDOW_S:
            if self._window_bytes < MIN_RATE_BYTES:
                raise RequestError("body_timeout", f"{self._window_bytes} bytes in {self._waited_s:.1f} s")
            self._waited_s = 0.0
            self._window_bytes = 0


class InputBody(Sendable):
    """The body of a WSGI request: whatever server reads it for us, in pieces that it gives only whole."""

    def __init__(self, source: Any, length: int) -> None:
        """``length``: Content-Length, or -1 for a chunked body that the server decodes."""
        super().__init__()
        self.received = 0
        self.is_done = length == 0
        self.expects_continue = False
        self.rest = b""
        self.stream = InputStream(source)
        self._length = length
        self._limit: int | None = None

    def framing(self) -> bytes:
        return b"Transfer-Encoding: chunked\r\n" if self._length < 0 else b"Content-Length: %d\r\n" % self._length

    def bound(self, limit: int | None) -> None:
        self._limit = limit
        if limit is not None and self._length > limit:
            raise RequestError("body_too_large")

    def read(self) -> bool:
        """As on a socket; of bytes that are late, a whole piece has to come first."""
        want = INPUT_PIECE_BYTES if self._length < 0 else min(INPUT_PIECE_BYTES, self._length - self.received)
        try:
            data = self.stream.recv_now(want)
        except BlockingIOError:
            return False
        except OSError as broken:
            raise RequestError("body_truncated", str(broken)) from broken
        except Exception as error:
            raise RequestError("bad_chunk", type(error).__name__) from error
        if not data:
            if self._length >= 0 and self.received < self._length:
                raise RequestError("body_truncated", f"after {self.received} bytes")
            self.is_done = True
            self._ready += LAST_CHUNK
            return True
        self.received += len(data)
        if self._limit is not None and self.received > self._limit:
            raise RequestError("body_too_large")
        self._ready += encode_chunk(data) if self._length < 0 else data
        self.is_done = self._length >= 0 and self.received == self._length
        return True

    def waited(self, seconds: float) -> None:
        """Slow clients are the server's business here."""
