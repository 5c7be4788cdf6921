"""A backend that misbehaves on order: real sockets, a thread per connection, every byte recorded.

What it does is a ``Behaviour``: a function that owns one accepted connection from its first byte to
its last. ``tests.support.behaviours`` has the repertoire. Before ``serve`` its port is bound but not
listening: connects are refused, and nobody else can take the port.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

from tests.support.recorded import Ended, Reader, Recorded

PATIENCE_S = 60.0
"""A connection is given up after this long, so that a failing test cannot hang a run."""


class Connection:
    """One accepted connection, with the few verbs that behaviours are written in."""

    def __init__(self, sock: socket.socket, note: Callable[[Recorded], None]) -> None:
        sock.settimeout(PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.reader = Reader(lambda: sock.recv(65536), note)

    def request(self) -> Recorded:
        return self.reader.request()

    def send(self, *parts: bytes) -> None:
        self.sock.sendall(b"".join(parts))

    def dribble(self, data: bytes, pause_s: float) -> None:
        """One byte at a time."""
        for at in range(len(data)):
            self.sock.sendall(data[at : at + 1])
            time.sleep(pause_s)

    def wait_for_end(self) -> None:
        """Keeps silent until the peer leaves; what it sends is ignored."""
        while self.sock.recv(65536):
            pass

    def reset(self) -> None:
        """RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Behaviour = Callable[[Connection], None]


class FaultOrigin:
    """Usable from any thread. Changing the behaviour counts for connections accepted from then on."""

    def __init__(self, behaviour: Behaviour | None = None, *, address: str = "127.0.0.1", port: int = 0) -> None:
        self._listening = socket.socket()
        self._listening.bind((address, port))
        self.port = int(self._listening.getsockname()[1])
        self.requests: list[Recorded] = []
        self.connections = 0
        self.ended = 0
        """Connections whose peer has left or that we closed."""
        self._open: set[socket.socket] = set()
        self._behaviour = behaviour
        self._is_listening = False
        self._changed = threading.Condition()
        if behaviour:
            self.serve(behaviour)

    def serve(self, behaviour: Behaviour) -> FaultOrigin:
        """From now on connections are accepted and treated like this."""
        self._behaviour = behaviour
        if not self._is_listening:
            self._is_listening = True
            self._listening.listen(1024)
            threading.Thread(target=self._accept, daemon=True).start()
        return self

    def black_hole(self) -> FaultOrigin:
        """Connects hang: with a full accept queue the kernel drops every further SYN."""
        self._listening.listen(0)
        self._is_listening = True
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._open.add(filler)
        return self

    def wait_until(self, claim: Callable[[FaultOrigin], bool], deadline_s: float = 10.0) -> bool:
        """Whether ``claim`` became true in time; looked at whenever something happened here."""
        with self._changed:
            return self._changed.wait_for(lambda: claim(self), deadline_s)

    def complete(self) -> list[Recorded]:
        return [request for request in self.requests if request.is_complete]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            with self._changed:
                self.connections += 1
                self._open.add(sock)
                self._changed.notify_all()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        behaviour = self._behaviour
        assert behaviour is not None
        with contextlib.suppress(OSError, Ended, ValueError):
            behaviour(Connection(sock, self._note))
        with self._changed:
            sock.close()
            self._open.discard(sock)
            self.ended += 1
            self._changed.notify_all()

    def _note(self, request: Recorded) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()


@contextlib.contextmanager
def fault_origin(
    behaviour: Behaviour | None = None, *, address: str = "127.0.0.1", port: int = 0
) -> Iterator[FaultOrigin]:
    """An origin that is closed at the end; without a behaviour it refuses connections."""
    origin = FaultOrigin(behaviour, address=address, port=port)
    try:
        yield origin
    finally:
        origin.close()
