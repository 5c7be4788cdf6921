"""TLS on a ``Stream``: an ``SSLObject`` between two memory buffers, fed by the stream's own socket.

Independent of monkey patching. ``lb.proxy.stream`` drives the layer and waits for it. Contexts are made
here too, one place for what we offer: TLS 1.2 and up, ALPN ``http/1.1``.
"""

from __future__ import annotations

import logging
import os
import ssl
from contextlib import suppress
from typing import Any

from lb.model import BackendTls

_READ_BYTES = 256 * 1024
WRITE_BYTES = 64 * 1024
_RECORD_BYTES = 16 * 1024 + 261
"""A record of TLS 1.3 with its header and the most that encryption may add (RFC 8446 section 5.2)."""
_BARREN_BYTES = 64 * 1024
"""Most that may come between two pieces of data: four records, or a new handshake of TLS 1.2 with certificates."""
_log = logging.getLogger("lb.tls")


class TlsLayer:
    """Encrypts and decrypts for one connection. ``pending``: encrypted bytes not sent yet. ``was_cut``: the
    peer's end came without close_notify, so that anybody could have made it."""

    __slots__ = ("_barren", "_decrypted", "_incoming", "_object", "_outgoing", "_recv", "_send", "pending", "was_cut")

    def __init__(self, sock: Any, context: ssl.SSLContext, server_name: str | None, received: bytes) -> None:
        self._incoming = ssl.MemoryBIO()
        self._incoming.write(received)
        self._outgoing = ssl.MemoryBIO()
        server_side = server_name is None
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side, server_name)
        self.was_cut = False
        self._barren = 0
        self._decrypted = b""
        """What was decrypted ahead of its readers, to be able to say goodbye."""
        self._recv = sock.recv
        self._send = sock.send
        self.pending = memoryview(b"")

    def feed(self, size: int = _RECORD_BYTES) -> bool:
        """Reads what the socket has; False at its end. BlockingIOError if there is nothing."""
        data = self._recv(size)
        if not data:
            self._incoming.write_eof()
            return False
        self._incoming.write(data)
        return True

    def handshake_step(self) -> bool:
        """True when the handshake is done; else the peer has to say something first."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def recv_now(self, size: int) -> bytes:
        if self._decrypted:
            data, self._decrypted = self._decrypted[:size], self._decrypted[size:]
            return data
        has_fed = False
        while True:
            try:
                data = self._object.read(size)
            except ssl.SSLWantReadError:
                self._flush_for_reader()
                if has_fed:  # with half a record, or with what is none of its readers' business
                    raise BlockingIOError from None
                has_fed = self._feed_for_reader(size)
                continue
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLEOFError:
                self.was_cut = True
                return b""
            self._flush_for_reader()
            self._barren = 0
            return data

    def _feed_for_reader(self, size: int) -> bool:
        """SSLError for a peer that says much and sends nothing: each KeyUpdate costs us as much as a small request."""
        if self._barren > _BARREN_BYTES:
            raise ssl.SSLError(f"{self._barren} bytes of TLS records without data")
        before = self._incoming.pending
        goes_on = self.feed(max(size, _RECORD_BYTES))
        self._barren += self._incoming.pending - before
        return goes_on

    def _flush_for_reader(self) -> None:
        """A peer that takes no more may have said something before: that is still to be read."""
        with suppress(ConnectionError):
            self.flush_now()

    @property
    def has_more(self) -> bool:
        """Whether bytes are here that nobody has read: the kernel does not know of them any more."""
        return bool(self._decrypted or self._incoming.pending or self._object.pending())

    def send_now(self, data: bytes | memoryview) -> int:
        """Takes up to 64 KiB of plaintext; BlockingIOError while earlier bytes are still on their way."""
        if not self.flush_now():
            raise BlockingIOError
        taken = data[:WRITE_BYTES]
        self.encrypt(taken)
        self.flush_now()
        return len(taken)

    def encrypt(self, data: bytes | memoryview) -> None:
        self._object.write(data)

    def flush_now(self) -> bool:
        """Sends encrypted bytes until the socket takes no more; True when none are left."""
        while True:
            if not self.pending:
                if not self._outgoing.pending:
                    return True
                self.pending = memoryview(self._outgoing.read())
            try:
                self.pending = self.pending[self._send(self.pending) :]
            except BlockingIOError:
                return False

    def say_goodbye(self) -> None:
        """close_notify, as far as it can be sent without waiting. Reading may go on."""
        self._decrypt_ahead()
        with suppress(ssl.SSLError, OSError, ValueError):
            self._object.unwrap()
        with suppress(OSError):
            self.flush_now()

    def _decrypt_ahead(self) -> None:
        """``unwrap`` reads on after it has sent close_notify, and throws away data that it finds."""
        pieces = [self._decrypted]
        with suppress(ssl.SSLError, OSError, ValueError):
            while piece := self._object.read(_READ_BYTES):
                pieces.append(piece)
        self._decrypted = b"".join(pieces)


def backend_context(tls: BackendTls) -> ssl.SSLContext:
    """For connections to ``https`` backends: verified against ``ca`` or the system's store, shared by all that want the
    same (the system's store takes 64 ms and 0.8 MiB). A CA file that has changed is read again; while it cannot be, the
    last good one counts. OSError if there is none."""
    key = tls.verify, tls.ca
    stamp = _stamp(tls.ca)
    kept = _contexts.get(key)
    if kept is not None and kept[0] == stamp:
        return kept[1]
    try:
        context = _made(tls)
    except OSError as error:
        if kept is None:
            raise
        _log.error("ca=%s kept the old one: %s", tls.ca, error)
        context = kept[1]
    _contexts[key] = stamp, context
    return context


_contexts: dict[tuple[bool, str], tuple[object, ssl.SSLContext]] = {}
"""And of which version of the file each is. There are no more than configurations have named."""


def _stamp(ca: str) -> object:
    """Changes when the file does, also if another is moved into its place; None if there is none."""
    with suppress(OSError):
        status = os.stat(ca)
        return status.st_mtime_ns, status.st_size, status.st_ino
    return None


def _made(tls: BackendTls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
