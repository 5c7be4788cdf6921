"""The backend of a case: plays the case's script for every request, on all kinds of listening sockets.

One per test module; it stays while cases change, so that the balancer's pooled connections do too.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator

from tests.contract.case import OK
from tests.contract.script import PATIENCE_S, Got, Pieces, Script, Stage, TheyGot, Verb
from tests.support.recorded import Ended, Reader, Recorded


class ScriptedOrigin:
    """``port`` is plain HTTP on 127.0.0.1; further addresses come from ``listen``."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.steps: Script = (OK,)
        self.requests: list[Recorded] = []
        self._changed = threading.Condition()
        self._sockets: list[socket.socket] = []
        self._open: set[socket.socket] = set()
        self.port = self.listen(socket.AF_INET, ("127.0.0.1", 0))

    def play(self, steps: Script, patience_s: float = PATIENCE_S) -> Stage:
        """From the next request on; what was seen before is forgotten."""
        with self._changed:
            self.stage, self.steps, self.requests = Stage(patience_s), steps, []
        return self.stage

    def listen(self, family: socket.AddressFamily, address: object, tls: ssl.SSLContext | None = None) -> int:
        """Another address to be reached at; its port, if it has one."""
        listening = socket.socket(family)
        listening.bind(address)  # type: ignore[arg-type]
        listening.listen(128)
        self._sockets.append(listening)
        threading.Thread(target=self._accept, args=(listening, tls), daemon=True).start()
        return 0 if family == socket.AF_UNIX else int(listening.getsockname()[1])

    def wait_for(self, count: int, *, complete: bool) -> list[Recorded]:
        """The requests seen, as soon as there are ``count``, complete if asked; what there is at the deadline."""
        deadline = time.monotonic() + self.stage.patience_s
        with self._changed:
            while not self._has(count, complete=complete) and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(min(left, 0.02))
            return list(self.requests)

    def _has(self, count: int, *, complete: bool) -> bool:
        return len(self.requests) >= count and (not complete or all(one.is_complete for one in self.requests))

    def close(self) -> None:
        for sock in [*self._sockets, *self._open]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock, tls), daemon=True).start()

    def _serve(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        sock.settimeout(60)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError, Ended, ValueError, AssertionError):
            secured = tls.wrap_socket(sock, server_side=True) if tls else sock
            with secured:
                connection = _Connection(secured, self)
                while connection.serve_one():
                    pass
        self._open.discard(sock)
        sock.close()

    def note(self, request: Recorded) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()


class _Connection:
    def __init__(self, sock: socket.socket, origin: ScriptedOrigin) -> None:
        self.sock = sock
        self._origin = origin
        self._reader = Reader(self._recv, origin.note)

    def _recv(self) -> bytes:
        data = self.sock.recv(65536)
        self._origin.stage.backend.add(data)
        return data

    def serve_one(self) -> bool:
        """One request by the script of the case it belongs to; False at the connection's end."""
        request = self._reader.head()
        steps, stage = self._origin.steps, self._origin.stage
        if not steps or steps[0] is not Verb.HEAD:
            self._reader.body(request)
        return all(self._play(step, request, stage) for step in steps)

    def _play(self, step: object, request: Recorded, stage: Stage) -> bool:
        if isinstance(step, bytes):
            self.sock.sendall(step)
        elif isinstance(step, Pieces):
            send_pieces(self.sock, step)
        elif isinstance(step, TheyGot):
            stage.client.wait_for(step.mark)
        elif isinstance(step, Got):
            self._read_until(step.mark, stage)
        elif step is Verb.BODY:
            self._reader.body(request)
        elif step is not Verb.HEAD:
            self._end(step)
            return False
        return True

    def _read_until(self, mark: bytes, stage: Stage) -> None:
        while mark not in stage.backend:
            data = self._recv()
            if not data:
                raise Ended
            self._reader.buffer += data

    def _end(self, step: object) -> None:
        if step is Verb.RESET:
            reset(self.sock)
        elif step is Verb.SILENCE:
            while self.sock.recv(65536):
                pass
        elif step is Verb.ECHO:
            data = self._reader.buffer or self._recv()
            while data:
                self.sock.sendall(data)
                data = self._recv()


def send_pieces(sock: socket.socket, step: Pieces) -> None:
    for at in range(0, len(step.data), step.size):
        sock.sendall(step.data[at : at + step.size])
        time.sleep(step.pause_s)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@contextlib.contextmanager
def scripted_origin() -> Iterator[ScriptedOrigin]:
    origin = ScriptedOrigin()
    try:
        yield origin
    finally:
        origin.close()
